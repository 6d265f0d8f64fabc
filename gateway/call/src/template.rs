//! Filling in: `{name}` becomes a value, `{name|there}` falls back to `there`, `{{name}}` is `{name}` itself. What is not
//! known stays as it is, and values are taken as they are: a caller's number cannot name another variable.

/// Fills in a text; `value` knows the names.
pub(crate) fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find('{') {
        filled.push_str(&rest[..begin]);
        rest = &rest[begin..];
        if let Some((literal, behind)) = escaped(rest) {
            filled.push('{');
            filled.push_str(literal);
            filled.push('}');
            rest = behind;
            continue;
        }
        match place(rest).and_then(|(name, fallback, behind)| Some((chosen(value(name), fallback)?, behind))) {
            Some((chosen, behind)) => {
                filled.push_str(&chosen);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = &rest[1..];
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Whether a text asks for a value whose name begins so.
pub(crate) fn names(text: &str, prefix: &str) -> bool {
    let mut rest = text;
    while let Some(begin) = rest.find('{') {
        rest = &rest[begin..];
        if let Some((_, behind)) = escaped(rest) {
            rest = behind;
            continue;
        }
        if place(rest).is_some_and(|(name, ..)| name.starts_with(prefix)) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// What stands between `{{` and the next `}}` on its line, and what is behind.
fn escaped(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix("{{")?;
    let end = inner.find("}}").filter(|&end| !inner[..end].contains('\n'))?;
    Some((&inner[..end], &inner[end + 2..]))
}

/// The name in braces at the beginning of a text, what to take when it has no value, and what is behind.
fn place(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text.find('}')?;
    let inner = &text[1..end];
    let (name, fallback) = inner.split_once('|').map_or((inner, None), |(name, fallback)| (name, Some(fallback)));
    Some((name, fallback, &text[end + 1..]))
}

fn chosen(value: Option<String>, fallback: Option<&str>) -> Option<String> {
    let Some(fallback) = fallback else { return value };
    Some(value.filter(|value| !value.is_empty()).unwrap_or_else(|| fallback.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str) -> String {
        fill(text, |name| match name {
            "who" => Some("a clerk".to_owned()),
            "empty" => Some(String::new()),
            "sly" => Some("{who} {{who}}".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn names_are_replaced_and_everything_else_stays() {
        assert_eq!(filled("You are {who}, {who}."), "You are a clerk, a clerk.");
        assert_eq!(filled("{unknown} {a b} {} { {who}"), "{unknown} {a b} {} { a clerk");
        assert_eq!(filled(r#"{"a": {"b": 1}} {who"#), r#"{"a": {"b": 1}} {who"#);
    }

    #[test]
    fn what_is_unset_or_empty_falls_back() {
        assert_eq!(filled("{unknown|there} {empty|there} {who|there} [{empty}] {unknown|}"), "there there a clerk [] ");
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(filled("{{who}} {{{who}}}"), "{who} {{who}}");
        assert_eq!(filled("{{ and {who}"), "{{ and a clerk");
        assert!(names("a {who|x} b", "wh") && !names("{{who}} {other} who", "wh"));
    }

    #[test]
    fn a_value_is_never_filled_in_itself() {
        assert_eq!(filled("{sly}"), "{who} {{who}}");
    }

    proptest! {
        #[test]
        fn text_without_names_comes_out_as_it_went_in(text in "[a-z{}| \n]{0,60}") {
            let out = fill(&text, |_| None);
            if !text.contains('|') && !text.contains("{{") {
                prop_assert_eq!(out, text);
            }
        }
    }
}
