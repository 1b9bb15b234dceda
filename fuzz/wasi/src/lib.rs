//! Modules that call WASI preview 1 with pointers, lengths and numbers of an input's choosing.
//!
//! Every input yields a valid command. The fuzz target runs it in the runtime, the scenario tests in a host.

/// The functions of preview 1: a name, the parameters (`i` for 32 bits, `I` for 64), and true if a number is returned.
const FUNCTIONS: &[(&str, &str, bool)] = &[
    ("args_get", "ii", true),
    ("args_sizes_get", "ii", true),
    ("environ_get", "ii", true),
    ("environ_sizes_get", "ii", true),
    ("clock_res_get", "ii", true),
    ("clock_time_get", "iIi", true),
    ("fd_advise", "iIIi", true),
    ("fd_allocate", "iII", true),
    ("fd_close", "i", true),
    ("fd_datasync", "i", true),
    ("fd_fdstat_get", "ii", true),
    ("fd_fdstat_set_flags", "ii", true),
    ("fd_fdstat_set_rights", "iII", true),
    ("fd_filestat_get", "ii", true),
    ("fd_filestat_set_size", "iI", true),
    ("fd_filestat_set_times", "iIIi", true),
    ("fd_pread", "iiiIi", true),
    ("fd_prestat_get", "ii", true),
    ("fd_prestat_dir_name", "iii", true),
    ("fd_pwrite", "iiiIi", true),
    ("fd_read", "iiii", true),
    ("fd_readdir", "iiiIi", true),
    ("fd_renumber", "ii", true),
    ("fd_seek", "iIii", true),
    ("fd_sync", "i", true),
    ("fd_tell", "ii", true),
    ("fd_write", "iiii", true),
    ("path_create_directory", "iii", true),
    ("path_filestat_get", "iiiii", true),
    ("path_filestat_set_times", "iiiiIIi", true),
    ("path_link", "iiiiiii", true),
    ("path_open", "iiiiiIIii", true),
    ("path_readlink", "iiiiii", true),
    ("path_remove_directory", "iii", true),
    ("path_rename", "iiiiii", true),
    ("path_symlink", "iiiii", true),
    ("path_unlink_file", "iii", true),
    ("poll_oneoff", "iiii", true),
    ("proc_raise", "i", true),
    ("sched_yield", "", true),
    ("random_get", "ii", true),
    ("sock_accept", "iii", true),
    ("sock_recv", "iiiiii", true),
    ("sock_send", "iiiii", true),
    ("sock_shutdown", "ii", true),
    ("proc_exit", "i", false),
];

/// Bytes in a page of memory.
const PAGE: u32 = 65_536;
/// The most pages: a memory that every default limit admits.
const MOST_PAGES: u32 = 16;
/// The most calls of one module, each of which is made up to [`MOST_TURNS`] times.
const MOST_CALLS: usize = 48;
const MOST_TURNS: u32 = 4;
/// The place of [`FIXED`], and of the input itself after it.
const FIXED_AT: u32 = 16;
const INPUT_AT: u32 = 1024;
/// Bytes of the input that are put into the memory.
const MOST_INPUT: usize = 16 * 1024;

/// Names in steps of 16 bytes, then buffers: of the input, at the end of the first page, and beyond every memory.
const FIXED: &[&[u8]] = &[
    b"file",
    b"next",
    b"../secret",
    b"/etc/passwd",
    b"link",
    b"a/b/c",
    b"\xff\xfe/\0",
    &[0, 4, 0, 0, 64, 0, 0, 0, 248, 255, 0, 0, 16, 0, 0, 0],
    &[0, 255, 255, 255, 0, 2, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255],
];

/// A reader of the input; it yields zeros after its end.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn raw(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// A value for a parameter of 32 bits: a small number, a place in memory or around its end, or any.
    fn short(&mut self, memory: u32) -> u32 {
        let (kind, by) = (self.byte() % 8, u32::from(self.byte()));
        match kind {
            0 => by,
            1 => INPUT_AT + 4 * by,
            2 => memory - by,
            3 => memory + 256 * by,
            4 => u32::MAX - by,
            5 => self.raw(),
            6 => FIXED_AT + 16 * (by % 16),
            _ => 1 << (by % 32),
        }
    }

    /// A value for a parameter of 64 bits.
    fn long(&mut self) -> u64 {
        let (kind, by) = (self.byte() % 5, u64::from(self.byte()));
        match kind {
            0 => by,
            1 => u64::MAX - by,
            2 => u64::from(self.raw()) << 32 | u64::from(self.raw()),
            3 => i64::MAX.unsigned_abs() - by,
            _ => 1 << (by % 64),
        }
    }
}

/// The module of an input: a command whose `_start` makes the calls and returns.
#[must_use]
pub fn module(data: &[u8]) -> Vec<u8> {
    let mut input = Input(data);
    let pages = 1 + u32::from(input.byte()) % MOST_PAGES;
    let turns = 1 + u32::from(input.byte()) % MOST_TURNS;
    let mut used = Vec::new();
    let mut body = Vec::new();
    for _ in 0..MOST_CALLS {
        if input.0.is_empty() {
            break;
        }
        let function = usize::from(input.byte()) % FUNCTIONS.len();
        let (_, parameters, has_result) = FUNCTIONS[function];
        for kind in parameters.bytes() {
            if kind == b'I' {
                body.push(0x42);
                signed(&mut body, input.long().cast_signed());
            } else {
                let value = input.short(pages * PAGE).cast_signed();
                body.push(0x41);
                signed(&mut body, i64::from(value));
            }
        }
        let number = used.iter().position(|known| *known == function);
        let number = number.unwrap_or_else(|| {
            used.push(function);
            used.len() - 1
        });
        body.push(0x10);
        unsigned(&mut body, number);
        if has_result {
            body.push(0x1a);
        }
    }
    assemble(data, pages, turns, &used, &body)
}

fn assemble(data: &[u8], pages: u32, turns: u32, used: &[usize], body: &[u8]) -> Vec<u8> {
    let mut types = Vec::new();
    let mut imports = Vec::new();
    unsigned(&mut types, used.len() + 1);
    unsigned(&mut imports, used.len());
    for (number, function) in used.iter().enumerate() {
        let (name, parameters, has_result) = FUNCTIONS[*function];
        types.push(0x60);
        unsigned(&mut types, parameters.len());
        types.extend(
            parameters
                .bytes()
                .map(|kind| if kind == b'I' { 0x7e } else { 0x7f }),
        );
        types.extend(if has_result { &[1, 0x7f][..] } else { &[0] });
        text(&mut imports, b"wasi_snapshot_preview1");
        text(&mut imports, name.as_bytes());
        imports.push(0);
        unsigned(&mut imports, number);
    }
    types.extend([0x60, 0, 0]);
    let mut functions = vec![1];
    unsigned(&mut functions, used.len());
    let mut memory = vec![1, 0];
    unsigned(&mut memory, pages as usize);
    let mut exports = vec![2];
    text(&mut exports, b"_start");
    exports.push(0);
    unsigned(&mut exports, used.len());
    text(&mut exports, b"memory");
    exports.extend([2, 0]);
    let mut code = vec![0];
    for _ in 0..turns {
        code.extend(body);
    }
    code.push(0x0b);
    let mut codes = vec![1];
    text(&mut codes, &code);
    let mut segments = Vec::new();
    unsigned(&mut segments, FIXED.len() + 1);
    let fixed = (0_u32..)
        .map(|n| FIXED_AT + 16 * n)
        .zip(FIXED.iter().copied());
    let whole = &data[..data.len().min(MOST_INPUT)];
    for (at, bytes) in fixed.chain([(INPUT_AT, whole)]) {
        segments.extend([0, 0x41]);
        signed(&mut segments, i64::from(at));
        segments.push(0x0b);
        text(&mut segments, bytes);
    }
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    let sections = [
        (1, types),
        (2, imports),
        (3, functions),
        (5, memory),
        (7, exports),
        (10, codes),
        (11, segments),
    ];
    for (id, section) in sections {
        module.push(id);
        text(&mut module, &section);
    }
    module
}

/// Bytes after their length.
fn text(into: &mut Vec<u8>, bytes: &[u8]) {
    unsigned(into, bytes.len());
    into.extend(bytes);
}

fn unsigned(into: &mut Vec<u8>, mut value: usize) {
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            return into.push(byte);
        }
        into.push(byte | 0x80);
    }
}

fn signed(into: &mut Vec<u8>, mut value: i64) {
    loop {
        let byte = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        let is_last = value == if byte & 0x40 == 0 { 0 } else { -1 };
        if is_last {
            return into.push(byte);
        }
        into.push(byte | 0x80);
    }
}
