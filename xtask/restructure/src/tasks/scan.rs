//! `restructure scan DIR`: what is there, without touching it.

use anyhow::Result;
use base::ui::Exit;
use base::workspace::Workspace;

use super::Request;

pub fn run(_workspace: &Workspace, _request: &Request) -> Result<Exit> {
    Ok(Exit::Done)
}
