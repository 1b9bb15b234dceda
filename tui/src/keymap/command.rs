//! Everything that a key can do. Names are kept for good: files of settings have them.

/// Makes the commands from one table: name in Rust, name in a file, default keys, what it does.
macro_rules! commands {
    ($($group:ident: $($command:ident $name:literal [$($key:literal),*] $does:literal)+;)+) => {
        /// What a key can do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Command {
            $($(
                #[doc = $does]
                $command,
            )+)+
        }

        impl Command {
            /// All of them, group by group, as help shows them.
            pub(crate) const ALL: &[Self] = &[$($(Self::$command,)+)+];

            /// Its name in a file of settings and in the palette.
            pub(crate) const fn name(self) -> &'static str {
                match self { $($(Self::$command => $name,)+)+ }
            }

            /// What it does, in a few words.
            pub(crate) const fn description(self) -> &'static str {
                match self { $($(Self::$command => $does,)+)+ }
            }

            /// The part of the help that it belongs to.
            pub(crate) const fn group(self) -> CommandGroup {
                match self { $($(Self::$command => CommandGroup::$group,)+)+ }
            }

            /// The keys that it has unless a file says otherwise, as a file writes them.
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
        StopRun      "stop-run"       ["K"]                   "stop the selected run";
    Program:
        Palette      "palette"        [":"]                   "find a command by its name"
        Help         "help"           ["?"]                   "what the keys do"
        ToggleMouse  "toggle-mouse"   ["m"]                   "leave the mouse to the terminal, or take it"
        NextTheme    "next-theme"     ["t"]                   "other colours"
        Suspend      "suspend"        ["ctrl-z"]              "put the program to sleep"
        Quit         "quit"           ["q", "ctrl-c"]         "quit";
}

/// The parts of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CommandGroup {
    /// Moving around.
    Move,
    /// What is shown.
    Views,
    /// Which rows, and in what order.
    Find,
    /// Which moment.
    Time,
    /// What is done with the selected row.
    Act,
    /// The dashboard itself.
    Program,
}

impl CommandGroup {
    /// The title of the part.
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
    /// The command of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|command| command.name() == name)
    }

    /// Whether it changes something in the store, and so needs permission.
    pub(crate) const fn writes(self) -> bool {
        matches!(self, Self::RevokeLease | Self::RemoveEntry | Self::StopRun)
    }
}
