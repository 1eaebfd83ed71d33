//! Compose's variables: `$NAME`, `${NAME}`, `${NAME:-default}`. Nothing is asked for their values, neither a shell nor a file: one that has a
//! default has that, any other is named.

/// Deepest nesting of defaults in defaults.
const MAX_DEPTH: usize = 16;

/// The text with its variables replaced by their defaults. The error names the first variable that has none.
pub fn interpolate(text: &str) -> Result<String, String> {
    replace(text, 0)
}

fn replace(text: &str, depth: usize) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = match after.chars().next() {
            Some('$') => {
                out.push('$');
                &after[1..]
            }
            Some('{') => {
                let end = closing(after).ok_or_else(|| after.to_string())?;
                out.push_str(&braced(&after[1..end], depth)?);
                &after[end + 1..]
            }
            Some(c) if c == '_' || c.is_ascii_alphabetic() => return Err(name(after).to_string()),
            _ => {
                out.push('$');
                after
            }
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// The value of what stands in `${...}`.
fn braced(text: &str, depth: usize) -> Result<String, String> {
    let variable = name(text);
    let rest = &text[variable.len()..];
    let default = rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-'));
    match default {
        _ if variable.is_empty() => Err(text.to_string()),
        Some(default) if depth < MAX_DEPTH => replace(default, depth + 1),
        // What is there if the variable is set: it is not.
        None if rest.starts_with(":+") || rest.starts_with('+') => Ok(String::new()),
        _ => Err(variable.to_string()),
    }
}

/// The letters, digits and underscores that a text begins with.
fn name(text: &str) -> &str {
    &text[..text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len())]
}

/// Where the bracket that the text begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.bytes().position(|byte| {
        depth += match byte {
            b'{' => 1,
            b'}' => -1,
            _ => 0,
        };
        depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn defaults_are_the_only_values() {
        for (text, value) in [
            ("/mnt/${DISK:-storage}/x", "/mnt/storage/x"),
            ("${A-b}${C:+d}", "b"),
            ("${A:-${B:-c}}", "c"),
            ("$$HOME costs 5$", "$HOME costs 5$"),
            ("a $ b $1", "a $ b $1"),
            ("plain", "plain"),
        ] {
            assert_eq!(interpolate(text).as_deref(), Ok(value), "{text}");
        }
        for (text, name) in [
            ("/mnt/${DISK}", "DISK"),
            ("$HOME/x", "HOME"),
            ("${A:?needed}", "A"),
            ("${A:-$B}", "B"),
            ("${A", "{A"),
            ("${}", ""),
        ] {
            assert_eq!(interpolate(text), Err(name.to_string()), "{text}");
        }
        assert!(interpolate(&("${A:-".repeat(1000) + &"}".repeat(1000))).is_err());
    }

    proptest! {
        #[test]
        fn what_was_doubled_is_read_back(text in any::<String>(), other in "[${}:\\-+?A_]{0,40}") {
            let _ = interpolate(&other);
            prop_assert_eq!(interpolate(&text.replace('$', "$$")), Ok(text));
        }
    }
}
