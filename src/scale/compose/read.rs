//! From a Compose file that somebody wrote to the services in it. What is not taken over is a finding.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};
use serde_saphyr::{Options, budget, options};

use super::check::{Malformed, Parser, check};
use super::interpolate::interpolate;
use super::{Mount, Old, Service, Source};
use crate::error::Stop;
use crate::host::cores;
use crate::trial::record::{Finding, Severity};

/// The longest file, bytes.
const MAX_FILE: u64 = 1 << 20;

/// Most services.
const MAX_SERVICES: usize = 256;

/// Keys of a service that are taken over, or that mean nothing to a container that measures.
const KNOWN: [&str; 26] = [
    "image",
    "command",
    "cpuset",
    "cpuset-mems",
    "cpuset_mems",
    "mem_limit",
    "deploy",
    "volumes",
    "tmpfs",
    "environment",
    "labels",
    "user",
    "working_dir",
    "cap_add",
    "cap_drop",
    "ulimits",
    "privileged",
    "network_mode",
    "container_name",
    "hostname",
    "restart",
    "init",
    "read_only",
    "security_opt",
    "memswap_limit",
    "stdin_open",
];

/// Reads a Compose file of any version that has `services`. Nothing outside of the file is asked: a variable has its default or is named.
///
/// # Errors
/// Exit code 2 for a file that cannot be read, is larger than 1 MiB, has characters that are not what they look like, is no YAML, or has no
/// services; the sentence has every such character with its line, column and code point.
pub fn read(path: &Path) -> anyhow::Result<Old> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|e| Stop::Usage.error(format!("cannot open {shown}: {e}")))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Stop::Usage.error(format!("cannot read {shown}: {e}")))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Stop::Usage.error(format!("{shown} is larger than 1 MiB: it is no Compose file")));
    }
    let text = text(bytes).map_err(|e| Stop::Usage.error(format!("{shown}: {e}")))?;
    let tree = parse(&text).map_err(|e| Stop::Usage.error(format!("{shown}: {e}")))?;
    services(&tree, path.parent().unwrap_or(Path::new("."))).map_err(|e| Stop::Usage.error(format!("{shown}: {e}")))
}

/// The error is the sentence about the first bytes that are no text.
fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let (line, column) =
            (good.matches('\n').count() + 1, good.chars().rev().take_while(|c| *c != '\n').count() + 1);
        format!("line {line} column {column} has bytes that are no UTF-8: save the file as UTF-8")
    })
}

fn parse(text: &str) -> Result<Value, Malformed> {
    let rejected = check(text);
    let parsed: Result<Value, _> = serde_saphyr::from_str_with_options(text, bounds());
    let parser = parsed.as_ref().err().map(|error| {
        let place = error.location();
        let text = error.without_snippet().to_string();
        Parser {
            line: place.map_or(0, |place| place.line()),
            column: place.map_or(0, |place| place.column()),
            text: text.split('\n').next().unwrap_or_default().to_string(),
        }
    });
    match parsed {
        Ok(tree) if rejected.is_empty() => Ok(tree),
        _ => Err(Malformed { rejected, parser }),
    }
}

/// A file of the allowed size with all the services that are allowed fits; one whose aliases stand for more does not.
fn bounds() -> Options {
    let mut options = options! {
        budget: budget! {
            max_depth: 32,
            max_documents: 1,
            max_events: 200_000,
            max_nodes: 100_000,
            max_aliases: 2_000,
            max_anchors: 2_000,
            max_merge_keys: 2_000,
            max_total_scalar_bytes: 4 << 20,
        },
        // As Compose reads them: `y` and `0755` are words.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    options.alias_limits.max_total_replayed_events = 100_000;
    options.alias_limits.max_replay_stack_depth = 16;
    options
}

fn services(tree: &Value, dir: &Path) -> Result<Old, String> {
    let Some(services) = tree.get("services").and_then(Value::as_object).filter(|services| !services.is_empty()) else {
        return Err("it has no services: a Compose file has them below the key 'services'".to_string());
    };
    if services.len() > MAX_SERVICES {
        return Err(format!("{} services are more than {MAX_SERVICES}", services.len()));
    }
    let mut old = Old { services: Vec::new(), findings: Vec::new() };
    for (name, body) in services {
        let Some(body) = body.as_object() else {
            return Err(format!("service '{}' has no keys", name.escape_debug()));
        };
        let mut reader = Reader { name, body, dir, findings: &mut old.findings };
        let service = reader.service();
        old.services.push(service);
    }
    Ok(old)
}

/// A service that is being read.
struct Reader<'a> {
    name: &'a str,
    body: &'a Map<String, Value>,
    /// Where the file is.
    dir: &'a Path,
    findings: &'a mut Vec<Finding>,
}

impl Reader<'_> {
    fn service(&mut self) -> Service {
        let mut service = Service {
            name: self.name.to_string(),
            image: self.text("image"),
            command: self.command(),
            cpus: self.cpus("cpuset"),
            cpus_unclear: false,
            mems: self.cpus("cpuset-mems").or_else(|| self.cpus("cpuset_mems")),
            memory_bytes: self.memory(),
            mounts: self.mounts(),
            environment: self.pairs("environment"),
            labels: self.pairs("labels"),
            user: self.text("user"),
            working_dir: self.text("working_dir"),
            capabilities: self.list("cap_add"),
            locks_memory: self.locks_memory(),
            privileged: self.text("privileged").as_deref() == Some("true"),
            network_mode: self.text("network_mode"),
        };
        let is_blank = |value: &Value| value.is_null() || value == "";
        service.cpus_unclear = service.cpus.is_none() && self.body.get("cpuset").is_some_and(|value| !is_blank(value));
        let left: Vec<String> = self
            .body
            .keys()
            .filter(|key| !KNOWN.contains(&key.as_str()))
            .map(|key| key.escape_debug().to_string())
            .collect();
        if !left.is_empty() {
            self.find("not-taken-over", Severity::Info, format!("not taken over: {}", left.join(", ")));
        }
        service
    }

    fn find(&mut self, code: &str, severity: Severity, what: String) {
        let text = format!("service '{}': {what}", self.name.escape_debug());
        self.findings.push(Finding::new(code, severity, text));
    }

    /// A scalar in words, its variables replaced; none if it is no scalar or a variable has no value.
    fn scalar(&mut self, key: &str, value: &Value) -> Option<String> {
        let text = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                self.find(
                    "not-understood",
                    Severity::Error,
                    format!("{key} is a list or a mapping where a word is expected"),
                );
                return None;
            }
        };
        match interpolate(&text) {
            Ok(text) => Some(text),
            Err(variable) => {
                let what = format!(
                    "{key} needs the variable '{}', which has no default; it is not asked of a shell: write its value in",
                    variable.escape_debug()
                );
                self.find("variable-without-value", Severity::Error, what);
                None
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.scalar(key, self.body.get(key)?)
    }

    /// A list, or one word in its place.
    fn list(&mut self, key: &str) -> Vec<String> {
        let words = match self.body.get(key) {
            None => return Vec::new(),
            Some(Value::Array(items)) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        words.iter().filter_map(|word| self.scalar(key, word)).collect()
    }

    /// A list of words, or a text that is cut into words as Compose cuts it.
    fn command(&mut self) -> Vec<String> {
        match self.body.get("command") {
            Some(Value::Array(_)) | None => self.list("command"),
            Some(text) => {
                let text = self.scalar("command", text).unwrap_or_default();
                words(&text).unwrap_or_else(|| {
                    self.find(
                        "not-understood",
                        Severity::Error,
                        "command has a quotation mark without its pair".to_string(),
                    );
                    Vec::new()
                })
            }
        }
    }

    fn cpus(&mut self, key: &str) -> Option<Vec<usize>> {
        let text = self.text(key).filter(|text| !text.is_empty())?;
        let cpus = cores::parse_list(&text);
        cpus.map_err(|error| self.find("not-understood", Severity::Error, format!("{key}: {}", error.escape_debug())))
            .ok()
    }

    fn memory(&mut self) -> Option<u64> {
        let limits = self.body.get("deploy").and_then(|deploy| deploy.get("resources")?.get("limits"));
        let (key, value) = match (self.body.get("mem_limit"), limits.and_then(|limits| limits.get("memory"))) {
            (Some(value), _) => ("mem_limit", value),
            (None, Some(value)) => ("deploy.resources.limits.memory", value),
            (None, None) => return None,
        };
        let text = self.scalar(key, value)?;
        let bytes = bytes(&text);
        if bytes.is_none() {
            self.find(
                "not-understood",
                Severity::Error,
                format!("{key}: '{}' is no amount of memory", text.escape_debug()),
            );
        }
        bytes.filter(|bytes| *bytes > 0)
    }

    /// `memlock: -1`, or soft and hard.
    fn locks_memory(&self) -> bool {
        let memlock = self.body.get("ulimits").and_then(|limits| limits.get("memlock"));
        let limit = memlock.and_then(|limit| limit.get("hard").or(Some(limit)));
        limit.is_some_and(|limit| limit == -1 || limit == "-1")
    }

    /// A mapping, or a list of `NAME=value`. A name without a value would come from a shell.
    fn pairs(&mut self, key: &str) -> Vec<(String, String)> {
        let pairs: Vec<(String, Option<String>)> = match self.body.get(key) {
            Some(Value::Object(map)) => {
                map.iter().map(|(name, value)| (name.clone(), self.scalar(&format!("{key} {name}"), value))).collect()
            }
            _ => {
                let words = self.list(key);
                let cut = |word: &String| {
                    word.split_once('=').map(|(name, value)| (name.to_string(), Some(value.to_string())))
                };
                words.iter().map(|word| cut(word).unwrap_or((word.clone(), None))).collect()
            }
        };
        let mut known = Vec::new();
        for (name, value) in pairs {
            match value {
                Some(value) => known.push((name, value)),
                None if key == "labels" => known.push((name, String::new())),
                None => {
                    let what =
                        format!("{key} {} has no value, and it is not asked of a shell: left out", name.escape_debug());
                    self.find("variable-without-value", Severity::Warning, what);
                }
            }
        }
        known
    }

    fn mounts(&mut self) -> Vec<Mount> {
        let volumes = match self.body.get("volumes") {
            Some(Value::Array(volumes)) => volumes.as_slice(),
            _ => &[],
        };
        let mut mounts: Vec<Mount> = volumes
            .iter()
            .filter_map(|volume| match volume.as_object() {
                Some(long) => self.long(long),
                None => self.scalar("volumes", volume).and_then(|short| self.short(&short)),
            })
            .collect();
        // What follows a colon are options of the file system.
        let tmpfs = self.list("tmpfs").into_iter().map(|entry| entry.split(':').next().unwrap_or_default().to_string());
        mounts.extend(tmpfs.map(|target| Mount { source: Source::Tmpfs, target, read_only: false }));
        mounts
    }

    /// `SOURCE:TARGET:MODE`, `SOURCE:TARGET` or `TARGET`.
    fn short(&mut self, text: &str) -> Option<Mount> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, mode) = match parts[..] {
            [target] => (None, target, ""),
            [source, target] => (Some(source), target, ""),
            [source, target, mode] => (Some(source), target, mode),
            _ => return self.no_mount(text),
        };
        let source = match source {
            Some(path) if path.starts_with(['/', '.', '~']) => Source::Bind(self.path(path)?),
            Some("") => return self.no_mount(text),
            name => Source::Volume(name.map(str::to_string)),
        };
        if !target.starts_with('/') {
            return self.no_mount(text);
        }
        let read_only = mode.split(',').any(|word| word == "ro");
        Some(Mount { source, target: target.to_string(), read_only })
    }

    fn long(&mut self, map: &Map<String, Value>) -> Option<Mount> {
        let mut word = |key: &str| map.get(key).and_then(|value| self.scalar(&format!("volumes {key}"), value));
        let (kind, source, target, read_only) = (word("type"), word("source"), word("target"), word("read_only"));
        let source = match (kind.as_deref(), source) {
            (Some("bind"), Some(path)) => Source::Bind(self.path(&path)?),
            (Some("volume") | None, name) => Source::Volume(name),
            (Some("tmpfs"), _) => Source::Tmpfs,
            (kind, _) => return self.no_mount(kind.unwrap_or_default()),
        };
        let target = target.filter(|target| target.starts_with('/'));
        let Some(target) = target else { return self.no_mount("a mount without an absolute target") };
        Some(Mount { source, target, read_only: read_only.as_deref() == Some("true") })
    }

    fn no_mount(&mut self, text: &str) -> Option<Mount> {
        self.find(
            "not-understood",
            Severity::Error,
            format!("volumes: '{}' is no mount that is known here", text.escape_debug()),
        );
        None
    }

    /// An absolute path, or one that begins where the file is.
    fn path(&mut self, path: &str) -> Option<String> {
        if path.starts_with('~') {
            let what =
                format!("volumes: '{}' is in a home that only a shell knows: write the path in", path.escape_debug());
            self.find("variable-without-value", Severity::Error, what);
            return None;
        }
        if path.starts_with('/') {
            return Some(path.to_string());
        }
        let dir = std::path::absolute(self.dir).ok()?;
        let joined = dir.join(path.trim_start_matches("./"));
        joined.to_str().map(|path| path.trim_end_matches("/.").to_string())
    }
}

/// A text as the words of a command: cut at spaces, quotation marks and backslashes as a shell has them, and nothing else of a shell.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match c {
            '\'' => loop {
                match characters.next()? {
                    '\'' => break,
                    c => word.push(c),
                }
            },
            '"' => loop {
                match characters.next()? {
                    '"' => break,
                    '\\' => word.push(characters.next()?),
                    c => word.push(c),
                }
            },
            '\\' => word.push(characters.next()?),
            c => word.push(c),
        }
    }
    words.extend(word);
    Some(words)
}

/// An amount as Docker reads it: "64g", "512MiB", "1.5gb"; its units are binary.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = text[digits..].trim();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit);
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == unit)?;
    let amount: f64 = text[..digits].parse().ok()?;
    let bytes = amount * 1024f64.powi(power as i32);
    (bytes < 2f64.powi(63)).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(text: &str) -> Old {
        services(&parse(text).unwrap(), Path::new("/srv")).unwrap()
    }

    /// The service in which these lines are.
    fn service(lines: &str) -> (Service, Vec<String>) {
        let body: String = lines.lines().map(|line| format!("    {line}\n")).collect();
        let mut old = old(&format!("services:\n  a:\n{body}"));
        (old.services.remove(0), old.findings.iter().map(|finding| finding.code.clone()).collect())
    }

    fn bind(source: &str, target: &str, read_only: bool) -> Mount {
        Mount { source: Source::Bind(source.into()), target: target.into(), read_only }
    }

    #[test]
    fn mounts_in_every_way_of_writing() {
        let (service, codes) = service(
            "volumes:\n  - /mnt/a/:/mnt/a/\n  - ./b:/b:z,ro\n  - data:/c\n  - /d\n  - type: bind\n    source: /e:f\n    target: /e\n    \
             read_only: true\n  - {type: volume, source: data, target: /g}\n  - {type: tmpfs, target: /h}\ntmpfs: /i:size=1g\n",
        );
        let volume = |name: Option<&str>, target: &str| Mount {
            source: Source::Volume(name.map(str::to_string)),
            target: target.into(),
            read_only: false,
        };
        let memory = |target: &str| Mount { source: Source::Tmpfs, target: target.into(), read_only: false };
        let expected = [
            bind("/mnt/a/", "/mnt/a/", false),
            bind("/srv/b", "/b", true),
            volume(Some("data"), "/c"),
            volume(None, "/d"),
            bind("/e:f", "/e", true),
            volume(Some("data"), "/g"),
            memory("/h"),
            memory("/i"),
        ];
        assert_eq!((service.mounts.as_slice(), codes.as_slice()), (&expected[..], &[][..]));
    }

    #[test]
    fn what_is_no_mount_is_named_and_left_out() {
        let (service, codes) = service(
            "volumes:\n  - ~/x:/x\n  - a:b:c:d\n  - /x:relative\n  - {type: npipe, target: /p}\n  - {type: bind, source: /x}\n",
        );
        assert_eq!(service.mounts, []);
        let expected =
            ["variable-without-value", "not-understood", "not-understood", "not-understood", "not-understood"];
        assert_eq!(codes, expected);
    }

    #[test]
    fn words_numbers_and_limits() {
        let (service, codes) = service(
            "command: tail -f \"/dev/nu ll\" it\\'s 'a b'\ncpuset: 3\ncpuset-mems: '0,1'\nmem_limit: 1.5g\nenvironment: [A=1, B=x=y, 'C=']\n\
             labels: {c: 2, d: y, e: 0755, f: 1.50}\nuser: 1000\ncap_add: [IPC_LOCK]\nulimits: {memlock: {soft: -1, hard: -1}}\nprivileged: true\n\
             network_mode: host\nworking_dir: /w",
        );
        assert_eq!(service.command, ["tail", "-f", "/dev/nu ll", "it's", "a b"]);
        assert_eq!(
            (service.cpus, service.mems, service.memory_bytes),
            (Some(vec![3]), Some(vec![0, 1]), Some(3 << 29))
        );
        let pair = |name: &str, value: &str| (name.to_string(), value.to_string());
        assert_eq!(
            (service.environment, service.labels),
            (
                vec![pair("A", "1"), pair("B", "x=y"), pair("C", "")],
                vec![pair("c", "2"), pair("d", "y"), pair("e", "0755"), pair("f", "1.5")]
            )
        );
        assert_eq!(
            (service.user.as_deref(), service.capabilities.as_slice()),
            (Some("1000"), &["IPC_LOCK".to_string()][..])
        );
        assert!(service.locks_memory && service.privileged && codes.is_empty(), "{codes:?}");
        let (limited, _) = self::service("deploy: {resources: {limits: {memory: 64G}}}");
        assert_eq!(limited.memory_bytes, Some(64 << 30));
        for (text, amount) in
            [("10", Some(10)), ("2kb", Some(2048)), ("1MiB", Some(1 << 20)), ("x", None), ("1e9", None), ("-1", None)]
        {
            assert_eq!(bytes(text), amount, "{text}");
        }
    }

    #[test]
    fn variables_have_their_defaults_or_are_named() {
        let (service, codes) = service(
            "image: ${IMAGE:-test}\nvolumes: ['${DISK}:/x', '${ROOT:-/mnt}/a:/a']\nenvironment: [HOME, 'A=$$B']\ncpuset: $CPUS",
        );
        assert_eq!((service.image.as_deref(), service.cpus), (Some("test"), None));
        assert_eq!(
            (service.mounts, service.environment),
            (vec![bind("/mnt/a", "/a", false)], vec![("A".into(), "$B".into())])
        );
        assert_eq!(codes, ["variable-without-value"; 3]);
    }

    #[test]
    fn what_is_not_taken_over_is_named() {
        let (_, codes) = service("image: x\nenv_file: a.env\ncpus: 2\ncpuset: 0-x\ncommand: \"'x\"\nuser: [a]");
        assert_eq!(codes, ["not-understood", "not-understood", "not-understood", "not-taken-over"]);
        let found = old("services: {a: {env_file: x, depends_on: [b]}}").findings;
        assert_eq!(found[0].text, "service 'a': not taken over: env_file, depends_on");
    }

    #[test]
    fn yaml_that_stands_for_more_than_it_is_stops_early() {
        let bomb = (1..30).fold("a0: &a0 [x, x]\n".to_string(), |text, n| {
            text + &format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}]\n", n - 1)
        });
        let merges = (1..40).fold("m0: &m0 {k0: 1}\n".to_string(), |text, n| {
            text + &format!("m{n}: &m{n} {{<<: [*m{0}, *m{0}], k{n}: 1}}\n", n - 1)
        });
        let deep = format!("a: {}{}", "[".repeat(1000), "]".repeat(1000));
        for text in [bomb, merges, deep, "a: &a [*a]\n".to_string()] {
            let started = std::time::Instant::now();
            let result = parse(&(text + "services: {a: {image: x}}\n"));
            assert!(started.elapsed().as_secs() < 5 && result.unwrap_err().parser.is_some());
        }
        let merged = old("x: &x {image: y, cpuset: '0'}\nservices: {a: {<<: *x, cpuset: '1'}}\n");
        assert_eq!((merged.services[0].image.as_deref(), merged.services[0].cpus.clone()), (Some("y"), Some(vec![1])));
    }

    #[test]
    fn the_parsers_error_comes_with_its_place() {
        let error = parse("services:\n  a:\n   image: x\n  - b\n").unwrap_err();
        let parser = error.parser.clone().unwrap();
        assert!((parser.line, parser.column) == (4, 5) && error.to_string().contains("line 4 column 5"), "{error}");
        let both = parse("services:\n  a: [\u{201c}x\u{201d}\n\u{a0}b\n").unwrap_err();
        assert!(both.parser.is_some() && both.rejected.len() == 3, "{both}");
        assert!(parse("a: 1\na: 2\n").unwrap_err().to_string().contains("line 2"), "a key is there once");
        assert!(parse("a: 1\n---\nb: 2\n").is_err());
    }
}
