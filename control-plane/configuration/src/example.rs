//! Whether a documented example shows every key there is, each with a comment above it, and no other.

use serde_json::Value;

use crate::document::dotted;
use crate::shape::Shape;

/// What is wrong with an example configuration: keys without a comment, keys of the schema that it does not show, keys
/// that do not exist. A key that has no default is shown as a comment.
#[must_use]
pub fn slips_in_example(example: &str, schema: &Value) -> Vec<String> {
    let mut slips = Vec::new();
    let (mut shown, mut section, mut commented) = (Vec::new(), String::new(), false);
    for line in example.lines() {
        let bare = line.trim_start_matches("# ");
        if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((key, _)) = bare.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        {
            let key = dotted(&section, key);
            if !commented {
                slips.push(format!("{key} has no comment above it"));
            }
            shown.push(key);
        }
        commented = line.starts_with('#') && !line.contains(" = ");
    }
    let missing = keys(Shape::new(schema), "").into_iter().filter(|key| !shown.contains(key));
    slips.extend(missing.map(|key| format!("{key} is not shown")));
    let known = |key: &str| key.split('.').try_fold(Shape::new(schema), Shape::key).is_some();
    slips.extend(shown.iter().filter(|key| !known(key)).map(|key| format!("{key} does not exist")));
    slips
}

/// Every key that is no table.
fn keys(shape: Shape<'_>, key: &str) -> Vec<String> {
    let names = shape.names_of_keys();
    if names.is_empty() {
        // A table of free names, such as the secrets, is shown by an example that the comment explains.
        return if shape.types() == ["object"] { Vec::new() } else { vec![key.to_owned()] };
    }
    let inner = |name: &str| shape.key(name).map(|shape| keys(shape, &dotted(key, name)));
    names.into_iter().filter_map(inner).flatten().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_slip_is_named() {
        let schema = json!({ "properties": { "a": { "properties": { "b": {}, "c": {} } } } });
        assert!(slips_in_example("[a]\n# One.\nb = 1\n# Two.\n# c = 2\n", &schema).is_empty());
        let slips = slips_in_example("[a]\nb = 1\n# Three.\nd = 3\n", &schema);
        assert_eq!(slips, ["a.b has no comment above it", "a.c is not shown", "a.d does not exist"]);
    }
}
