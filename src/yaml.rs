//! YAML as this project writes it: every foreign text is a scalar in double quotes, and nothing else.

use std::fmt::Write;

/// A scalar in double quotes. Where Compose reads it, it replaces the variables in it.
pub fn scalar(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            // Writing to a String cannot fail.
            c => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// A scalar in double quotes that Compose takes literally: its dollars are doubled.
pub fn literal(text: &str) -> String {
    scalar(&text.replace('$', "$$"))
}

/// A list in one line. The items are YAML already.
pub fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_yaml_and_compose_would_act_on_is_escaped() {
        assert_eq!(literal("a\"b\\c$(d)\n"), r#""a\"b\\c$$(d)\U0000000a""#);
        assert_eq!(list(["a: b", "- #"].map(scalar)), r##"["a: b", "- #"]"##);
    }

    proptest! {
        #[test]
        fn what_was_quoted_is_read_back(text in any::<String>()) {
            let read: Vec<String> = serde_saphyr::from_str(&list([scalar(&text), literal(&text)])).unwrap();
            prop_assert_eq!(read, [text.clone(), text.replace('$', "$$")]);
        }
    }
}
