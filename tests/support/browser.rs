//! Headless Chromium: what it makes of a page, asked with a script of the test's own in a copy of the page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Looks for texts that overlap or leave their chart, for what is wider than its container, and for the document's width. The verdict goes
/// into the document, which the browser prints.
const LAYOUT: &str = r#"
const wrong = [];
const name = element => element.textContent.trim().slice(0, 60);
const inside = (a, b) => a.left >= b.left - 0.5 && a.right <= b.right + 0.5 && a.top >= b.top - 0.5 && a.bottom <= b.bottom + 0.5;
const charts = document.querySelectorAll('svg');
let texts = 0;
for (const chart of charts) {
    const frame = chart.getBoundingClientRect();
    if (!inside(frame, chart.parentElement.getBoundingClientRect())) wrong.push('a chart leaves its figure: ' + name(chart));
    const found = [...chart.querySelectorAll('text')].map(text => [text, text.getBoundingClientRect()]);
    texts += found.length;
    for (const [text, box] of found) {
        if (box.width === 0) wrong.push('a text without width: ' + name(chart));
        if (!inside(box, frame)) wrong.push('a text leaves its chart: ' + name(text));
    }
    for (let i = 0; i < found.length; i++) for (let j = i + 1; j < found.length; j++) {
        const [a, b] = [found[i][1], found[j][1]];
        const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (width > 0.5 && height > 0.5) wrong.push('texts overlap: ' + name(found[i][0]) + ' / ' + name(found[j][0]));
    }
    for (const shape of chart.querySelectorAll('rect, circle, line, polyline, path'))
        if (!inside(shape.getBoundingClientRect(), frame)) wrong.push('a shape leaves its chart: ' + shape.outerHTML.slice(0, 120));
}
const tight = () => {
    for (const element of document.querySelectorAll('td, th, p, h1, .verdict, .table'))
        if (element.scrollWidth > element.clientWidth + 1 && !element.closest('details'))
            wrong.push('wider than its box: ' + element.tagName + ' ' + name(element));
    if (document.documentElement.scrollWidth > innerWidth) wrong.push('the document is wider than the window');
};
tight();
document.querySelectorAll('details').forEach(details => details.open = true);
tight();
const verdict = document.createElement('pre');
verdict.id = 'verdict';
verdict.textContent = encodeURIComponent(JSON.stringify({width: innerWidth, charts: charts.length, texts, wrong: wrong.slice(0, 20)}));
document.body.append(verdict);
"#;

/// Colours and brightness of a picture that is in the page.
const PICTURE: &str = r#"
addEventListener('load', () => {
    const image = document.images[0], canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const data = context.getImageData(0, 0, canvas.width, canvas.height).data, colours = new Set();
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) {
        colours.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
        sum += data[i] + data[i + 1] + data[i + 2];
    }
    const verdict = document.createElement('pre');
    verdict.id = 'verdict';
    verdict.textContent = encodeURIComponent(JSON.stringify({colours: colours.size, brightness: sum / (data.length / 4 * 3 * 255)}));
    document.body.append(verdict);
});
"#;

/// The colours that a reader prefers.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    Light,
    Dark,
}

/// What a screenshot shows.
#[derive(Debug)]
pub struct Picture {
    /// Different colours.
    pub colours: u64,
    /// Mean of all pixels, 0 black to 1 white.
    pub brightness: f64,
}

/// A browser with a profile of its own.
pub struct Browser {
    program: &'static str,
    dir: tempfile::TempDir,
}

impl Browser {
    /// The first of the usual names that starts.
    pub fn find() -> Option<Browser> {
        let starts =
            |program: &&str| Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
        let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(starts)?;
        Some(Browser { program, dir: tempfile::tempdir().unwrap() })
    }

    fn run(&self, words: &[&str], page: &Path) -> Output {
        // `timeout`, because a browser that waits for something would wait for ever.
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "60", self.program, "--headless=new", "--no-sandbox", "--disable-gpu"]);
        command.args(["--hide-scrollbars", "--disable-dev-shm-usage", "--enable-logging=stderr"]);
        command.arg(format!("--user-data-dir={}", self.dir.path().join("profile").display())).args(words);
        let output = command.arg(format!("file://{}", page.display())).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// What a script says of a page: the document is printed when it has run.
    fn verdict(&self, page: &Path, words: &[&str]) -> Value {
        let output = self.run(&[words, &["--dump-dom", "--virtual-time-budget=2000"]].concat(), page);
        let document = String::from_utf8_lossy(&output.stdout).into_owned();
        let verdict = document.split("id=\"verdict\">").nth(1).and_then(|rest| rest.split('<').next());
        let verdict =
            verdict.unwrap_or_else(|| panic!("no verdict on {}: {}", page.display(), errors(&output).join("\n")));
        serde_json::from_slice(&decoded(verdict)).unwrap()
    }

    /// The verdict of the layout script on a copy of a page, whose policy lets that script run.
    fn layout(&self, text: &str, width: u32) -> Value {
        let copy = self.dir.path().join("copy.html");
        let text = text.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'");
        fs::write(&copy, text.replace("</body>", &format!("<script>{LAYOUT}</script></body>"))).unwrap();
        self.verdict(&copy, &[&format!("--window-size={width},900")])
    }

    /// No text overlaps another or leaves its chart, nothing is wider than its box or the window.
    #[track_caller]
    pub fn check_layout(&self, page: &Path, width: u32) {
        let verdict = self.layout(&fs::read_to_string(page).unwrap(), width);
        assert_eq!(verdict["width"], width, "{verdict:#}");
        assert!(verdict["charts"].as_u64().unwrap() >= 3 && verdict["texts"].as_u64().unwrap() > 30, "{verdict:#}");
        assert_eq!(verdict["wrong"], serde_json::json!([]), "{} at {width}: {verdict:#}", page.display());
    }

    /// The console stays empty, so no part of the page was refused by its own policy either.
    #[track_caller]
    pub fn check_console(&self, page: &Path) {
        assert_eq!(errors(&self.run(&["--dump-dom"], page)), [""; 0]);
    }

    /// Takes a screenshot and looks at its pixels.
    pub fn picture(&self, page: &Path, scheme: Scheme) -> Picture {
        let file = self.screenshot(page, scheme);
        let image = base64(&fs::read(file).unwrap());
        let viewer = self.dir.path().join("viewer.html");
        let text = format!("<body><img src=\"data:image/png;base64,{image}\"><script>{PICTURE}</script></body>");
        fs::write(&viewer, text).unwrap();
        let verdict = self.verdict(&viewer, &[]);
        Picture { colours: verdict["colours"].as_u64().unwrap(), brightness: verdict["brightness"].as_f64().unwrap() }
    }

    fn screenshot(&self, page: &Path, scheme: Scheme) -> PathBuf {
        let file = self.dir.path().join(format!("{scheme:?}.png"));
        let preferred = match scheme {
            Scheme::Dark => 0,
            Scheme::Light => 1,
        };
        let words = [
            format!("--blink-settings=preferredColorScheme={preferred}"),
            format!("--screenshot={}", file.display()),
            "--window-size=1200,2400".to_string(),
        ];
        self.run(&words.each_ref().map(String::as_str), page);
        file
    }

    /// The checks find what they are for.
    pub fn sees_what_is_wrong(&self) {
        let text = |x| format!("<text x='{x}' y='50'>words</text>");
        let page = format!(
            "<!DOCTYPE html><body><svg width='200' height='99'>{}{}{}</svg></body>",
            text(10),
            text(20),
            text(190)
        );
        let wrong = self.layout(&page, 700)["wrong"].to_string();
        assert!(
            wrong.contains("texts overlap: words / words") && wrong.contains("a text leaves its chart: words"),
            "{wrong}"
        );
        let noisy = self.dir.path().join("noisy.html");
        fs::write(&noisy, "<!DOCTYPE html><meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\"><img src='x.png'>").unwrap();
        assert!(errors(&self.run(&["--dump-dom"], &noisy)).iter().any(|line| line.contains("Content Security Policy")));
    }
}

/// What the page said on the console.
fn errors(output: &Output) -> Vec<String> {
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    log.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_string).collect()
}

/// The bytes of a text in which JavaScript's encodeURIComponent has replaced some.
fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(&part.as_bytes()[2..]);
    }
    bytes
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits = (0..3).fold(0u32, |bits, n| bits << 8 | u32::from(chunk.get(n).copied().unwrap_or_default()));
        let letter = move |n: usize| char::from(LETTERS[(bits >> (18 - 6 * n)) as usize & 63]);
        let used = chunk.len() + 1;
        (0..4).map(move |n| if n < used { letter(n) } else { '=' }).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[test]
fn base64_of_the_rfcs_examples() {
    for (text, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
        assert_eq!(base64(text.as_bytes()), expected);
    }
    assert_eq!(decoded("a%20%C3%A4"), "a ä".as_bytes());
}
