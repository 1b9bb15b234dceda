//! Commands of the dashboard. Their names never change: settings files contain them.

/// Defines the commands from one table: name in Rust, name in a file, default keys, description.
macro_rules! commands {
    ($($group:ident: $($command:ident $name:literal [$($key:literal),*] $does:literal)+;)+) => {
        /// A command of the dashboard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Command {
            $($(
                #[doc = $does]
                $command,
            )+)+
        }

        impl Command {
            /// All commands, group by group, in the order of the help.
            pub(crate) const ALL: &[Self] = &[$($(Self::$command,)+)+];

            /// Name in a settings file and in the palette.
            pub(crate) const fn name(self) -> &'static str {
                match self { $($(Self::$command => $name,)+)+ }
            }

            /// Description in a few words.
            pub(crate) const fn description(self) -> &'static str {
                match self { $($(Self::$command => $does,)+)+ }
            }

            /// Group in the help.
            pub(crate) const fn group(self) -> CommandGroup {
                match self { $($(Self::$command => CommandGroup::$group,)+)+ }
            }

            /// Default keys, as a file writes them.
            pub(super) const fn default_keys(self) -> &'static [&'static str] {
                match self { $($(Self::$command => &[$($key),*],)+)+ }
            }
        }
    };
}

commands! {
    Move:
        Up           "up"             ["k", "up"]             "one row up"
        Down         "down"           ["j", "down"]           "one row down"
        Top          "top"            ["g", "home"]           "to the first row"
        Bottom       "bottom"         ["G", "end"]            "to the last row"
        HalfPageUp   "half-page-up"   ["ctrl-u"]              "half a page up"
        HalfPageDown "half-page-down" ["ctrl-d"]              "half a page down"
        PageUp       "page-up"        ["pgup", "ctrl-b"]      "a page up"
        PageDown     "page-down"      ["pgdn", "ctrl-f"]      "a page down"
        Left         "left"           ["left"]                "to the left"
        Right        "right"          ["right"]               "to the right";
    Views:
        ViewLocks    "view-locks"     ["1"]                   "all locks"
        ViewQueue    "view-queue"     ["2"]                   "who waits for whom"
        ViewSessions "view-sessions"  ["3"]                   "leases and what hangs on them"
        ViewJobs     "view-jobs"      ["4"]                   "jobs, their runs and their logs"
        ViewEvents   "view-events"    ["5"]                   "what happened"
        ViewHeatmap  "view-heatmap"   ["6"]                   "locks over time"
        NextView     "next-view"      ["tab"]                 "the next view"
        PreviousView "previous-view"  ["shift-tab"]           "the previous view"
        Open         "open"           ["enter"]               "look inside the selected row"
        Back         "back"           ["esc"]                 "back to where it was opened from"
        Describe     "describe"       ["d"]                   "everything about the selected row"
        Logs         "logs"           ["l"]                   "the logs of the selected job";
    Find:
        Filter       "filter"         ["/"]                   "show only rows with some text"
        ClearFilter  "clear-filter"   ["c"]                   "show all rows again"
        Sort         "sort"           ["s"]                   "sort by the next column"
        ReverseSort  "reverse-sort"   ["S"]                   "turn the order around"
        Follow       "follow"         ["f"]                   "keep the selected lock in sight";
    Time:
        Freeze        "freeze"           ["space"]            "hold the picture still, or let it go on"
        StepBack      "step-back"        ["[", ","]           "to the change before"
        StepForward   "step-forward"     ["]", "."]           "to the change after"
        JumpBack10s   "jump-back-10s"    ["{"]                "ten seconds back"
        JumpForward10s "jump-forward-10s" ["}"]               "ten seconds forward"
        Oldest        "oldest"           ["O"]                "to the oldest that is remembered"
        Live          "live"             ["L"]                "back to now";
    Act:
        Copy         "copy"           ["y"]                   "copy the selected row"
        RevokeLease  "revoke-lease"   ["X"]                   "end the lease of the selected entry"
        RemoveEntry  "remove-entry"   ["x"]                   "take the selected entry out of its queue"
        StopRun      "stop-run"       ["K"]                   "force the selected run off its lock"
        Trigger      "trigger"        ["T"]                   "run the selected job once, now"
        Pause        "pause"          ["P"]                   "keep new runs of the selected job off"
        Resume       "resume"         ["R"]                   "end the pause of the selected job"
        PauseAll     "pause-all"      []                      "keep new runs of all jobs off"
        ResumeAll    "resume-all"     []                      "end the pause of all jobs"
        Stop         "stop"           ["E"]                   "ask the run of the selected job to end"
        Restart      "restart"        ["A"]                   "end the run of the selected job, and run it again"
        Drain        "drain"          ["D"]                   "keep new runs off the selected host"
        Undrain      "undrain"        ["U"]                   "end the drain of the selected host";
    Program:
        Palette      "palette"        [":"]                   "find a command by its name"
        Help         "help"           ["?"]                   "what the keys do"
        ToggleMouse  "toggle-mouse"   ["m"]                   "leave the mouse to the terminal, or take it"
        NextTheme    "next-theme"     ["t"]                   "other colours"
        Suspend      "suspend"        ["ctrl-z"]              "put the program to sleep"
        Quit         "quit"           ["q", "ctrl-c"]         "quit";
}

/// A group of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CommandGroup {
    /// Moving around.
    Move,
    /// Choosing the view.
    Views,
    /// Choosing rows and their order.
    Find,
    /// Choosing the moment.
    Time,
    /// Acting on the selected row.
    Act,
    /// The dashboard itself.
    Program,
}

impl CommandGroup {
    /// Title of the group.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Views => "Views",
            Self::Find => "Find",
            Self::Time => "Time",
            Self::Act => "Act",
            Self::Program => "Program",
        }
    }
}

impl Command {
    /// Finds the command of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|command| command.name() == name)
    }

    /// Returns true for commands that change the store, and so need permission.
    pub(crate) const fn writes(self) -> bool {
        matches!(
            self,
            Self::RevokeLease
                | Self::RemoveEntry
                | Self::StopRun
                | Self::Trigger
                | Self::Pause
                | Self::Resume
                | Self::PauseAll
                | Self::ResumeAll
                | Self::Stop
                | Self::Restart
                | Self::Drain
                | Self::Undrain
        )
    }
}
