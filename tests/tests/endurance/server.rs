//! The store's own process: started, killed, started again on the same data and the same port.
//!
//! It must never outlive its test, nor be asked anything by other means than a client or an operator has.

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail, ensure};
use leasehold_tests::binaries;
use leasehold_tests::ports::Port;
use leasehold_tests::process::{self, Process};
use leasehold_tests::wait::eventually;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tempfile::TempDir;

use crate::SLACK;

/// The exit code of a store that could not be opened, as documented.
pub(crate) const REFUSED: i32 = 5;

/// One store, running or not.
#[derive(Debug)]
pub(crate) struct Server {
    // Before the directory, which it writes to.
    process: Option<Process>,
    launcher: Vec<String>,
    args: Vec<String>,
    data: PathBuf,
    port: Port,
    scratch: TempDir,
}

impl Server {
    /// With data in a directory of its own; not started.
    pub(crate) fn on_disk() -> Result<Self> {
        let mut server = Self::new()?;
        let dir = format!("--dir={}", server.data.display());
        server.args.push(dir);
        Ok(server)
    }

    /// Without a disk; not started.
    pub(crate) fn in_memory() -> Result<Self> {
        Ok(Self::new()?.arg("--memory"))
    }

    fn new() -> Result<Self> {
        let scratch = tempfile::Builder::new()
            .prefix("leasehold-endurance-")
            .tempdir();
        let scratch = scratch.context("making a directory for a store")?;
        let port = Port::claim()?;
        let args = ["store", "serve", "--log-format=json"].map(str::to_owned);
        let mut args = args.to_vec();
        args.push(format!("--listen={}", port.address()));
        Ok(Self {
            process: None,
            launcher: Vec::new(),
            args,
            data: scratch.path().join("data"),
            port,
            scratch,
        })
    }

    /// With one more argument.
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Started by a line of shell, which must end with `exec "$@"`. `$0` is the directory of the data.
    pub(crate) fn launched_by(mut self, launcher: &[&str], script: &str) -> Self {
        self.launcher = launcher.iter().map(|&word| word.to_owned()).collect();
        let shell = ["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        self.launcher.extend(shell);
        self.launcher.push(self.data.display().to_string());
        self
    }

    /// Started, and ready for requests.
    pub(crate) fn started(mut self) -> Result<Self> {
        self.start()?;
        Ok(self)
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.spawn()?;
        let address = self.port.address();
        let ready = eventually(SLACK, "the store to listen", || {
            match self.process()?.try_exit()? {
                // Nothing to wait for: out of the loop, as an outer success that holds the failure.
                Some(status) => Ok(Err(status)),
                None => Ok(Ok(TcpStream::connect(address).context("connecting")?)),
            }
        });
        match ready {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => bail!("the store ended with {status}: {}", self.said()),
            Err(error) => Err(error.context(self.said())),
        }
    }

    /// Starts it without waiting for anything.
    pub(crate) fn spawn(&mut self) -> Result<()> {
        let program = binaries::leasehold()?;
        let words = self.launcher.iter().cloned();
        let mut words = words.chain([program.display().to_string()]);
        let mut command = Command::new(words.next().context("no program")?);
        let open = |name: &str| {
            let path = self.scratch.path().join(name);
            let file = File::options().create(true).append(true).open(&path);
            file.with_context(|| format!("opening {}", path.display()))
        };
        command
            .args(words)
            .args(&self.args)
            .current_dir(self.scratch.path())
            .stdout(open("events")?)
            .stderr(open("log")?);
        self.process = Some(Process::spawn("the store", &mut command)?);
        Ok(())
    }

    /// A second process on this directory, to its end: its exit code and its output.
    pub(crate) fn rival(&self, data: &Path) -> Result<(Option<i32>, String)> {
        let path = self.scratch.path().join("rival");
        let mut command = Command::new(binaries::leasehold()?);
        command.args(["store", "serve", "--listen=127.0.0.1:0"]);
        command.arg(format!("--dir={}", data.display()));
        command.stdout(Stdio::null()).stderr(File::create(&path)?);
        let mut process = Process::spawn("a second store", &mut command)?;
        let code = process.wait_exit(SLACK)?.code();
        Ok((code, fs::read_to_string(&path)?))
    }

    /// Kills it without notice.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process()?.kill()?;
        self.process = None;
        Ok(())
    }

    /// Lets the system end it in the middle of the next write beyond this place in a file.
    pub(crate) fn die_at_write(&mut self, place: u64) -> Result<()> {
        self.limit_files(Some(place))?;
        let signal = self.wait_exit()?.signal();
        ensure!(
            signal == Some(Signal::XFSZ.as_raw()),
            "it ended by {signal:?}: {}",
            self.said()
        );
        self.process = None;
        Ok(())
    }

    /// Freezes it. Returns when every thread of it has stopped.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.process()?.stop()
    }

    /// Lets it go on.
    pub(crate) fn cont(&mut self) -> Result<()> {
        self.process()?.cont()
    }

    /// Waits for its exit status.
    pub(crate) fn wait_exit(&mut self) -> Result<ExitStatus> {
        self.process()?.wait_exit(SLACK)
    }

    fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the store does not run")
    }

    fn pid(&self) -> Result<u32> {
        let process = self.process.as_ref();
        Ok(process.context("the store does not run")?.pid())
    }

    /// As clients write it.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// For those who speak something else.
    pub(crate) fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.port.address()).context("connecting")?;
        stream.set_read_timeout(Some(SLACK))?;
        stream.set_write_timeout(Some(SLACK))?;
        Ok(stream)
    }

    /// The file with the data, as the process sees it: it may have mounted something there.
    pub(crate) fn file(&self) -> Result<PathBuf> {
        self.inside("store.redb")
    }

    /// A file beside the data, as the process sees it.
    pub(crate) fn inside(&self, name: &str) -> Result<PathBuf> {
        let root = PathBuf::from(format!("/proc/{}/root", self.pid()?));
        let path = self.data.join(name);
        Ok(root.join(path.strip_prefix("/").unwrap_or(&path)))
    }

    /// Directory of its open descriptors.
    pub(crate) fn descriptors(&self) -> Result<PathBuf> {
        Ok(PathBuf::from(format!("/proc/{}/fd", self.pid()?)))
    }

    /// The directory of the data.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Lets no file of the process grow, or be written, beyond this many bytes; `None` lifts that. To find
    /// a full disk there it must ignore the signal that comes with it.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) -> Result<()> {
        let pid = i32::try_from(self.pid()?).ok().and_then(Pid::from_raw);
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        prlimit(pid, Resource::Fsize, limit).context("limiting the size of files")?;
        Ok(())
    }

    /// The most memory it ever had, in MiB.
    pub(crate) fn peak_mib(&self) -> Result<u64> {
        Ok(process::peak(self.pid()?)? / 1024)
    }

    /// The memory that it has now, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<u64> {
        Ok(process::resident(self.pid()?)? / 1024)
    }

    /// Everything it wrote to standard error, in all its lives.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }

    /// It runs, and nothing in it has panicked.
    pub(crate) fn is_well(&mut self) -> Result<()> {
        let ended = self.process()?.try_exit()?;
        ensure!(
            ended.is_none(),
            "the store ended with {ended:?}: {}",
            self.said()
        );
        self.never_panicked()
    }

    /// Nothing in it has panicked, in any of its lives.
    pub(crate) fn never_panicked(&self) -> Result<()> {
        let said = self.said();
        ensure!(!said.contains("panicked"), "{said}");
        Ok(())
    }
}
