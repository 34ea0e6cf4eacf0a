//! The machine's Python: asked once a run, because where it is a shim (pyenv), every start costs a tenth of a second.

use std::sync::OnceLock;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Cmd, versions};
use crate::ui::Failure;

/// The interpreter itself, pip's version and folder, the pip that ensurepip carries, whether there is venv, and what wheels
/// are taken.
const QUESTION: &str = r#"
import glob, os, platform, sys, sysconfig
print(sys.executable)
try:
    import pip
    print(pip.__version__, os.path.dirname(os.path.abspath(pip.__file__)))
except Exception:
    print()
try:
    import ensurepip
    folder = sysconfig.get_config_var("WHEEL_PKG_DIR") or os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
    print((sorted(glob.glob(os.path.join(folder, "pip-*.whl"))) or [""])[-1])
except Exception:
    print()
try:
    import venv
    print("venv")
except Exception:
    print()
print(sys.implementation.cache_tag, sysconfig.get_platform(), *platform.libc_ver())
"#;

/// What is known of it.
#[derive(Clone, Debug)]
pub struct Python {
    /// The interpreter, no shim.
    pub program: Utf8PathBuf,
    /// Version, system and C library: which wheels it takes.
    pub platform: String,
    /// A script or an archive that is pip, to be run by any interpreter of this version.
    pip: Option<Utf8PathBuf>,
    has_venv: bool,
}

/// The python3 of PATH, or exit 4.
pub fn python() -> Result<Python> {
    static KNOWN: OnceLock<Python> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known.clone());
    }
    let answer = Cmd::new("python3").args(["-c", QUESTION]).read()?;
    let mut lines = answer.lines().map(str::trim);
    let mut next = || lines.next().unwrap_or_default();
    let (program, own, bundled, venv, platform) = (next(), next(), next(), next(), next());
    let program = Utf8PathBuf::from(if program.is_empty() { "python3" } else { program });
    // A pip that was installed is files, which starts faster than the archive; from 22.3 on it has a script that runs it.
    let own = own.split_once(' ').filter(|(version, _)| versions::is_at_least(version, &[22, 3]));
    let own = own.map(|(_, folder)| Utf8Path::new(folder).join("__pip-runner__.py")).filter(|script| script.is_file());
    let pip = own.or_else(|| (!bundled.is_empty()).then(|| Utf8Path::new(bundled).join("pip")));
    let python = Python { program, platform: platform.to_owned(), pip, has_venv: !venv.is_empty() };
    Ok(KNOWN.get_or_init(|| python).clone())
}

impl Python {
    /// Whether environments can be made and filled with it.
    pub fn makes_environments(&self) -> bool {
        self.has_venv && self.pip.is_some()
    }

    pub fn cmd(&self) -> Cmd {
        Cmd::new(self.program.as_str())
    }

    /// pip, run by `interpreter`: an environment without a pip of its own needs none, and unpacking one takes seconds.
    pub fn pip(&self, interpreter: &Utf8Path) -> Result<Cmd> {
        let Some(pip) = &self.pip else {
            let failure = Failure::cannot_tell("python3 has no pip, and no ensurepip that carries one");
            return Err(failure.hint("install it (Debian: apt-get install python3-venv)").into());
        };
        Ok(Cmd::new(interpreter).arg(pip).env("PIP_REQUIRE_VIRTUALENV", "false"))
    }
}
