//! x
use crate::flags::Deploy;
use crate::ui::Exit;
use crate::workspace::Workspace;
use anyhow::Result;
pub fn run(_w: &Workspace, _f: &Deploy) -> Result<Exit> {
    anyhow::bail!("not yet")
}
