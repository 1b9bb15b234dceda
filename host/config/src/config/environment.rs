//! Defaults that come from the machine and the user instead of from the file.
//!
//! Readers use this struct and never the process, so that tests do not depend on where they run.

use std::path::PathBuf;

/// Facts about the machine and the user.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    /// The machine's name, if it has one.
    pub(super) hostname: Option<String>,
    /// `$XDG_STATE_HOME`.
    pub(super) state_home: Option<PathBuf>,
    /// `$HOME`.
    pub(super) home: Option<PathBuf>,
}

impl Environment {
    /// Reads those of this process.
    pub(super) fn of_this_process() -> Self {
        // An XDG path that is not absolute is ignored, as its specification requires.
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        Self {
            hostname: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .ok()
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty()),
            state_home: absolute("XDG_STATE_HOME"),
            home: absolute("HOME"),
        }
    }

    /// Directory for state if the file names none.
    pub(super) fn data_dir(&self) -> PathBuf {
        if let Some(state) = &self.state_home {
            state.join("leasehold")
        } else if let Some(home) = &self.home {
            home.join(".local/state/leasehold")
        } else {
            PathBuf::from("/var/lib/leasehold")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_goes_to_xdg_then_home_then_var_lib() {
        let mut around = Environment {
            hostname: None,
            state_home: Some("/xdg".into()),
            home: Some("/home/x".into()),
        };
        assert_eq!(around.data_dir(), PathBuf::from("/xdg/leasehold"));
        around.state_home = None;
        assert_eq!(
            around.data_dir(),
            PathBuf::from("/home/x/.local/state/leasehold")
        );
        around.home = None;
        assert_eq!(around.data_dir(), PathBuf::from("/var/lib/leasehold"));
    }
}
