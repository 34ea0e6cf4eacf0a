//! The one place that starts a child process.
//!
//! Short questions ([`Cmd::read`]) go through xshell; everything that takes time ([`Cmd::run`], [`Cmd::output`]) goes
//! through duct and runs under the [guard](super::guard), so that it ends when this process ends, however that happens.
//! Secrets travel by environment, never in argv; whatever is shown is masked.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::guard;
use crate::ui::{self, Failure, Step, Style};

/// With `--verbose` every command is shown before it runs.
pub static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Bytes of a line that are kept together: a child that never ends a line must not fill the memory.
const LONGEST_LINE: u64 = 64 * 1024;
/// How many of a failed child's last lines its error repeats.
const TAIL: usize = 20;

/// A command to run. Build it, then call one of the verbs.
#[derive(Clone, Debug)]
pub struct Cmd {
    program: String,
    args: Vec<String>,
    dir: Option<Utf8PathBuf>,
    env: Vec<(String, String)>,
    env_remove: Vec<String>,
    env_clear: bool,
    stdin: Option<Vec<u8>>,
    timeout: Option<Duration>,
}

/// What a child answered; `code` is 128 + n when signal n ended it.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    pub fn ok(&self) -> bool {
        self.code == 0
    }
}

impl Cmd {
    pub fn new(program: impl AsRef<str>) -> Cmd {
        Cmd {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            dir: None,
            env: Vec::new(),
            env_remove: Vec::new(),
            env_clear: false,
            stdin: None,
            timeout: None,
        }
    }
    /// The cargo that runs this program, free of what the outer cargo has set for it.
    pub fn cargo() -> Cmd {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let outer = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let ours = |name: &String| {
            let keep = ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_NET_OFFLINE", "CARGO_TERM_COLOR", "CARGO_BUILD_JOBS"];
            name == "CARGO" || (name.starts_with("CARGO_") && !keep.contains(&name.as_str()))
        };
        let mut cmd = Cmd::new(cargo);
        cmd.env_remove = outer.filter(ours).collect();
        cmd
    }
    pub fn arg(mut self, arg: impl AsRef<str>) -> Cmd {
        self.args.push(arg.as_ref().to_owned());
        self
    }
    pub fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Cmd {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }
    pub fn dir(mut self, dir: impl AsRef<Utf8Path>) -> Cmd {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }
    pub fn env(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Cmd {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }
    pub fn envs<K: AsRef<str>, V: AsRef<str>>(mut self, pairs: impl IntoIterator<Item = (K, V)>) -> Cmd {
        self.env.extend(pairs.into_iter().map(|(name, value)| (name.as_ref().to_owned(), value.as_ref().to_owned())));
        self
    }
    pub fn env_remove(mut self, name: impl AsRef<str>) -> Cmd {
        self.env_remove.push(name.as_ref().to_owned());
        self
    }
    /// Start from an empty environment.
    pub fn env_clear(mut self) -> Cmd {
        self.env_clear = true;
        self
    }
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Cmd {
        self.stdin = Some(bytes.into());
        self
    }
    /// End the child, and fail, after this long.
    pub fn timeout(mut self, limit: Duration) -> Cmd {
        self.timeout = Some(limit);
        self
    }

    /// True when its program is there to be run.
    pub fn is_there(&self) -> bool {
        super::find(&self.program).is_some()
    }

    /// The line one could paste into a shell, secrets masked.
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args).map(|word| quote(word));
        let line = words.collect::<Vec<_>>().join(" ");
        let line = match &self.dir {
            Some(dir) => format!("(cd {} && {line})", quote(dir.as_str())),
            None => line,
        };
        ui::redact::mask(&line).into_owned()
    }

    /// A quick question: stdout of a child that succeeded, without the last line end. Not guarded: only for tools
    /// that answer at once.
    pub fn read(&self) -> Result<String> {
        let output = self.ask()?;
        if output.ok() { Ok(output.stdout.trim_end().to_owned()) } else { Err(self.failure(&output)) }
    }

    /// A quick question whose exit code matters.
    pub fn ask(&self) -> Result<Output> {
        Ok(self.answer(self.ask_bytes()?))
    }

    /// The same with the answer as the bytes it is: names of files need not be UTF-8.
    pub fn ask_bytes(&self) -> Result<std::process::Output> {
        self.show();
        let shell = xshell::Shell::new()?;
        if let Some(dir) = &self.dir {
            shell.change_dir(dir);
        }
        let mut cmd = shell.cmd(super::need(&self.program)?.as_std_path()).args(&self.args).quiet().ignore_status();
        if self.env_clear {
            cmd = cmd.env_clear();
        }
        for name in &self.env_remove {
            cmd = cmd.env_remove(name);
        }
        for (name, value) in &self.env {
            cmd = cmd.env(name, value);
        }
        if let Some(stdin) = &self.stdin {
            cmd = cmd.stdin(stdin);
        }
        cmd.output().with_context(|| format!("failed to run `{}`", self.line()))
    }

    /// Runs to the end and returns everything it printed.
    pub fn output(&self) -> Result<Output> {
        self.show();
        let expression = self.guarded()?.stdout_capture().stderr_capture().unchecked();
        let started = || format!("failed to run `{}`", self.line());
        let handle = expression.start().with_context(started)?;
        let output = match self.timeout {
            Some(limit) => handle.wait_timeout(limit).with_context(started)?,
            None => Some(handle.wait().with_context(started)?),
        };
        match output {
            Some(output) => Ok(self.answer(output.clone())),
            None => {
                guard::end(&handle.pids());
                Err(self.timed_out())
            }
        }
    }

    /// Runs to the end; its last line is the step's detail meanwhile. An error repeats the command and its last lines.
    pub fn run(&self, step: &Step) -> Result<()> {
        self.follow(|line| step.detail(line))
    }

    /// Runs to the end and hands each line of stdout and stderr to `each`.
    pub fn follow(&self, each: impl FnMut(&str)) -> Result<()> {
        let result = self.follow_code(each)?;
        if result.code == 0 { Ok(()) } else { Err(self.exit_error(result.code, &result.stderr)) }
    }

    /// The same for callers that look at the code; `stderr` of the answer holds the last lines of both streams.
    pub fn follow_code(&self, mut each: impl FnMut(&str)) -> Result<Output> {
        self.show();
        let reader = self.guarded()?.stderr_to_stdout().unchecked().reader();
        let reader = reader.with_context(|| format!("failed to run `{}`", self.line()))?;
        let mut tail: std::collections::VecDeque<String> = std::collections::VecDeque::new();
        for_each_line(&reader, |line| {
            each(line);
            if !line.trim().is_empty() {
                tail.push_back(line.to_owned());
            }
            if tail.len() > TAIL {
                tail.pop_front();
            }
        })
        .with_context(|| format!("failed to read the output of `{}`", self.line()))?;
        let status = reader.try_wait()?.map(|output| output.status);
        let code = status.map_or(1, code_of);
        Ok(Output { code, stdout: String::new(), stderr: Vec::from(tail).join("\n") })
    }

    /// Hands the terminal to the child and returns its code.
    pub fn interactive(&self) -> Result<i32> {
        self.show();
        ui::steps::clear_live_line();
        let mut command = self.command()?;
        let status = command.status().with_context(|| format!("failed to run `{}`", self.line()))?;
        Ok(code_of(status))
    }

    /// A child with pipes on all three streams that the caller talks to; it runs under the guard.
    pub fn spawn_piped(&self) -> Result<Child> {
        self.show();
        let inner = super::need(&self.program)?;
        let mut command = Command::new(guard::program()?);
        command.args(guard::arguments(inner.as_str(), &self.args));
        self.apply(&mut command);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().with_context(|| format!("failed to start `{}`", self.line()))
    }

    /// The plain std command, for callers that arrange its streams and its life themselves.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(super::need(&self.program)?);
        command.args(&self.args);
        self.apply(&mut command);
        Ok(command)
    }

    fn apply(&self, command: &mut Command) {
        if self.env_clear {
            command.env_clear();
        }
        for name in &self.env_remove {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
    }

    fn guarded(&self) -> Result<duct::Expression> {
        let inner = super::need(&self.program)?;
        let arguments: Vec<OsString> = guard::arguments(inner.as_str(), &self.args).map(OsString::from).collect();
        let mut expression = duct::cmd(guard::program()?.as_std_path(), arguments);
        expression = match &self.stdin {
            Some(bytes) => expression.stdin_bytes(bytes.clone()),
            None => expression.stdin_null(),
        };
        let this = self.clone();
        // The guard leads a group of its own: Ctrl-C ends this process, and the guard then ends the child.
        Ok(expression.before_spawn(move |command| {
            this.apply(command);
            std::os::unix::process::CommandExt::process_group(command, 0);
            Ok(())
        }))
    }

    fn show(&self) {
        if VERBOSE.load(Ordering::Relaxed) {
            ui::say(&ui::paint(Style::Faint, &format!("$ {}", self.line())));
        }
    }

    fn answer(&self, output: std::process::Output) -> Output {
        Output {
            code: code_of(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The error of a child that failed: the command, its code, its last lines.
    pub fn failure(&self, output: &Output) -> anyhow::Error {
        let text = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        self.exit_error(output.code, &lines[lines.len().saturating_sub(TAIL)..].join("\n"))
    }

    fn exit_error(&self, code: i32, tail: &str) -> anyhow::Error {
        let how =
            if code > 128 { format!("was ended by signal {}", code - 128) } else { format!("exited with {code}") };
        let tail = if tail.is_empty() { String::new() } else { format!("\n{}", indent(tail)) };
        Failure::failed(format!("`{}` {how}{tail}", self.line())).into()
    }

    fn timed_out(&self) -> anyhow::Error {
        let limit = self.timeout.unwrap_or_default();
        Failure::failed(format!("`{}` was ended after {}", self.line(), ui::seconds(limit))).into()
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

/// The exit code as a shell would tell it.
pub fn code_of(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Calls `each` for every line; bytes that are not UTF-8 are replaced, and a progress bar's carriage returns end lines.
/// A line longer than [`LONGEST_LINE`] comes in pieces.
pub fn for_each_line(stream: impl Read, mut each: impl FnMut(&str)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        each(text.rsplit('\r').next().unwrap_or(text));
    }
}

/// A word as a POSIX shell would need it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_can_be_pasted() {
        let cmd = Cmd::new("psql").args(["-c", "select 'x'", ""]).dir("/a b");
        assert_eq!(cmd.line(), r"(cd '/a b' && psql -c 'select '\''x'\''' '')");
    }

    #[test]
    fn a_progress_bar_counts_as_its_last_state() {
        let mut lines = Vec::new();
        for_each_line(&b"10%\r20%\rdone\nnext\r\n"[..], |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["done", "next"]);
    }
}
