//! Paths that leave something out: modules of JavaScript and Python, pages of a site, aliases of tsconfig.

use super::Target;
use crate::path::RelPath;
use crate::tree::{Kind, Tree};

const JAVASCRIPT: [&[u8]; 11] =
    [b".ts", b".tsx", b".js", b".jsx", b".mjs", b".cjs", b".mts", b".cts", b".d.ts", b".json", b".vue"];

fn with(place: &RelPath, ending: &[u8]) -> Option<RelPath> {
    RelPath::new([place.bytes(), ending].concat())
}

fn file(tree: &Tree, place: &RelPath) -> Option<Target> {
    let is_there = tree.at(place).is_some_and(|entry| matches!(entry.kind, Kind::File | Kind::Symlink(_)));
    is_there.then(|| Target::File(place.clone()))
}

/// What `require` or `import` of a relative path finds.
pub(crate) fn javascript(tree: &Tree, place: &RelPath) -> Option<Target> {
    if let Some(found) = file(tree, place) {
        return Some(found);
    }
    if !place.is_root() {
        if let Some(found) = JAVASCRIPT.iter().find_map(|ending| file(tree, &with(place, ending)?)) {
            return Some(found);
        }
        // TypeScript names what it will be compiled to.
        let pairs: [(&[u8], &[&[u8]]); 4] =
            [(b".js", &[b".ts", b".tsx"]), (b".jsx", &[b".tsx"]), (b".mjs", &[b".mts"]), (b".cjs", &[b".cts"])];
        for (compiled, sources) in pairs {
            if let Some(stem) = place.bytes().strip_suffix(compiled) {
                let found = sources.iter().find_map(|ending| file(tree, &RelPath::new([stem, ending].concat())?));
                if found.is_some() {
                    return found;
                }
            }
        }
    }
    if !tree.is_folder(place) {
        return super::resolve::through_links(tree, place, 0);
    }
    let index = JAVASCRIPT.iter().find_map(|ending| file(tree, &place.join(&[b"index", *ending].concat())));
    // A package.json says which file it is.
    index.or_else(|| file(tree, &place.join(b"package.json")).map(|_| Target::Folder(place.clone())))
}

/// A Python module or package.
pub(crate) fn python(tree: &Tree, place: &RelPath) -> Option<Target> {
    if place.is_root() {
        return None;
    }
    file(tree, &place.join(b"__init__.py"))
        .or_else(|| file(tree, &with(place, b".py")?))
        .or_else(|| file(tree, &with(place, b".pyi")?))
        .or_else(|| file(tree, &with(place, b".pyx")?))
        .or_else(|| {
            let has_modules = || tree.below(place).any(|id| tree.path(id).extension() == b"py");
            (tree.is_folder(place) && has_modules()).then(|| Target::Folder(place.clone()))
        })
}

/// The folder of a package whose `__init__.py` this is; any other path as it is.
pub(crate) fn package_folder(path: &RelPath) -> RelPath {
    let is_package = path.name().starts_with(b"__init__.py");
    path.parent().filter(|_| is_package).unwrap_or_else(|| path.clone())
}

/// The folders in which a program's own modules are looked up, the first ones first.
pub(crate) fn roots(tree: &Tree, own: &RelPath, roots: &[RelPath], above: &[RelPath]) -> Vec<RelPath> {
    let mut folders = Vec::new();
    let mut add = |folder: RelPath| {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    };
    if !tree.is_file(&own.join(b"__init__.py")) {
        add(own.clone());
    }
    // The folder above the outermost package that the file is in.
    let mut top = own.clone();
    while tree.is_file(&top.join(b"__init__.py"))
        && let Some(parent) = top.parent()
    {
        top = parent;
    }
    add(top);
    for root in roots {
        add(root.clone());
        if tree.is_folder(&root.join(b"src")) {
            add(root.join(b"src"));
        }
    }
    // In a package only its outside is looked in.
    for folder in above.iter().filter(|folder| !tree.is_file(&folder.join(b"__init__.py"))) {
        add(folder.clone());
        if tree.is_folder(&folder.join(b"src")) {
            add(folder.join(b"src"));
        }
    }
    folders
}

/// What a link of a document shows: the file itself, or a page whose ending is left out.
pub(crate) fn page(tree: &Tree, place: &RelPath, path: &[u8]) -> Option<Target> {
    if let Some(entry) = tree.at(place) {
        return match entry.kind {
            Kind::Folder => Some(Target::Folder(place.clone())),
            Kind::File | Kind::Symlink(_) => Some(Target::File(place.clone())),
            Kind::Other => None,
        };
    }
    if place.is_root() {
        return None;
    }
    let endings: [&[u8]; 4] = [b".md", b".mdx", b".rst", b".markdown"];
    let found = endings.iter().find_map(|ending| file(tree, &with(place, ending)?));
    let found = found.or_else(|| {
        let stem = place.bytes().strip_suffix(b".html")?;
        endings.iter().find_map(|ending| file(tree, &RelPath::new([stem, ending].concat())?))
    });
    let _ = path;
    found.or_else(|| super::resolve::through_links(tree, place, 0))
}

/// True for a module that comes with Python: a file of the tree with its name is not meant.
pub(crate) fn comes_with_python(path: &[u8]) -> bool {
    let name = path.split(|byte| *byte == b'/').next().unwrap_or(path);
    STANDARD.binary_search(&name).is_ok()
}

/// `sys.stdlib_module_names` of 3.11, sorted.
#[rustfmt::skip]
const STANDARD: &[&[u8]] = &[
    b"abc", b"aifc", b"antigravity", b"argparse", b"array", b"ast", b"asynchat", b"asyncio", b"asyncore", b"atexit",
    b"audioop", b"base64", b"bdb", b"binascii", b"bisect", b"builtins", b"bz2", b"cProfile", b"calendar", b"cgi",
    b"cgitb", b"chunk", b"cmath", b"cmd", b"code", b"codecs", b"codeop", b"collections", b"colorsys", b"compileall",
    b"concurrent", b"configparser", b"contextlib", b"contextvars", b"copy", b"copyreg", b"crypt", b"csv", b"ctypes",
    b"curses", b"dataclasses", b"datetime", b"dbm", b"decimal", b"difflib", b"dis", b"distutils", b"doctest",
    b"email", b"encodings", b"ensurepip", b"enum", b"errno", b"faulthandler", b"fcntl", b"filecmp", b"fileinput",
    b"fnmatch", b"fractions", b"ftplib", b"functools", b"gc", b"genericpath", b"getopt", b"getpass", b"gettext",
    b"glob", b"graphlib", b"grp", b"gzip", b"hashlib", b"heapq", b"hmac", b"html", b"http", b"idlelib", b"imaplib",
    b"imghdr", b"imp", b"importlib", b"inspect", b"io", b"ipaddress", b"itertools", b"json", b"keyword", b"lib2to3",
    b"linecache", b"locale", b"logging", b"lzma", b"mailbox", b"mailcap", b"marshal", b"math", b"mimetypes", b"mmap",
    b"modulefinder", b"msilib", b"msvcrt", b"multiprocessing", b"netrc", b"nis", b"nntplib", b"nt", b"ntpath",
    b"nturl2path", b"numbers", b"opcode", b"operator", b"optparse", b"os", b"ossaudiodev", b"pathlib", b"pdb",
    b"pickle", b"pickletools", b"pipes", b"pkgutil", b"platform", b"plistlib", b"poplib", b"posix", b"posixpath",
    b"pprint", b"profile", b"pstats", b"pty", b"pwd", b"py_compile", b"pyclbr", b"pydoc", b"pydoc_data", b"pyexpat",
    b"queue", b"quopri", b"random", b"re", b"readline", b"reprlib", b"resource", b"rlcompleter", b"runpy", b"sched",
    b"secrets", b"select", b"selectors", b"shelve", b"shlex", b"shutil", b"signal", b"site", b"smtpd", b"smtplib",
    b"sndhdr", b"socket", b"socketserver", b"spwd", b"sqlite3", b"sre_compile", b"sre_constants", b"sre_parse",
    b"ssl", b"stat", b"statistics", b"string", b"stringprep", b"struct", b"subprocess", b"sunau", b"symtable", b"sys",
    b"sysconfig", b"syslog", b"tabnanny", b"tarfile", b"telnetlib", b"tempfile", b"termios", b"textwrap", b"this",
    b"threading", b"time", b"timeit", b"tkinter", b"token", b"tokenize", b"tomllib", b"trace", b"traceback",
    b"tracemalloc", b"tty", b"turtle", b"turtledemo", b"types", b"typing", b"unicodedata", b"unittest", b"urllib",
    b"uu", b"uuid", b"venv", b"warnings", b"wave", b"weakref", b"webbrowser", b"winreg", b"winsound", b"wsgiref",
    b"xdrlib", b"xml", b"xmlrpc", b"zipapp", b"zipfile", b"zipimport", b"zlib", b"zoneinfo",
];
