//! The feature table is true to itself: ids, states, counts, and every test it names is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::documents::{Document, files, root};

const TABLE: &str = "docs/features.md";
const STATES: [&str; 3] = ["works", "partly", "not yet"];

/// A row of a group.
struct Feature {
    /// Anchor of its group.
    group: String,
    id: String,
    /// One of [`STATES`].
    state: &'static str,
    /// What `partly` lacks.
    missing: String,
    shown_by: Vec<String>,
}

/// The features, and the counts that the summary at the top gives by group.
fn features() -> (Vec<Feature>, Vec<(String, [usize; 4])>) {
    let document = Document::read(TABLE);
    let (mut features, mut summary) = (Vec::new(), Vec::new());
    for (group, cells) in document.rows {
        match cells.as_slice() {
            [name, counts @ ..] if counts.len() == 4 => {
                let counts = counts.iter().map(|count| count.parse().unwrap()).collect::<Vec<usize>>();
                summary.push((name.clone(), counts.try_into().unwrap()));
            }
            [id, text, state, shown_by] => {
                assert!(text.len() > 5, "{id} does not say what it is");
                let (word, missing) = state.split_once(": ").unwrap_or((state, ""));
                let state = STATES.into_iter().find(|known| *known == word);
                let quoted = shown_by.split(", ").filter(|name| !name.is_empty());
                let unquoted =
                    |name: &str| name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).map(str::to_owned);
                features.push(Feature {
                    group,
                    id: id.clone(),
                    state: state.unwrap_or_else(|| panic!("{id}: `{word}` is no state; there are {STATES:?}")),
                    missing: missing.to_owned(),
                    shown_by: quoted
                        .map(|name| unquoted(name).unwrap_or_else(|| panic!("{id}: {name} should be in backticks")))
                        .collect(),
                });
            }
            other => panic!("{TABLE}: a row of {} cells: {other:?}", other.len()),
        }
    }
    (features, summary)
}

#[test]
fn every_feature_has_an_id_of_its_own_and_a_state_that_says_enough() {
    let (features, _) = features();
    let (mut ids, mut faults) = (BTreeSet::new(), Vec::new());
    let mut groups: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for feature in &features {
        let id = feature.id.as_str();
        let (prefix, number) = id.split_once('-').unwrap_or_default();
        let well_formed = (2..=4).contains(&prefix.len())
            && prefix.bytes().all(|letter| letter.is_ascii_uppercase())
            && number.len() == 2
            && number.bytes().all(|digit| digit.is_ascii_digit());
        if !well_formed {
            faults.push(format!("{id}: an id is capitals, a hyphen and two digits"));
        }
        if !ids.insert(id) {
            faults.push(format!("{id} is there twice"));
        }
        groups.entry(&feature.group).or_default().insert(prefix);
        match feature.state {
            "works" if feature.shown_by.is_empty() || !feature.missing.is_empty() => {
                faults.push(format!("{id} works: name a test, and nothing is missing"));
            }
            "partly" if feature.missing.len() < 8 => faults.push(format!("{id} is partly there: say what is missing")),
            "not yet" if !feature.shown_by.is_empty() || !feature.missing.is_empty() => {
                faults.push(format!("{id} is not there yet, so nothing can show it"));
            }
            _ => {}
        }
    }
    // Numbers run from 01 without a gap, so that a row that was lost is noticed.
    for prefix in ids.iter().filter_map(|id| id.split_once('-')).map(|(prefix, _)| prefix).collect::<BTreeSet<_>>() {
        let numbers: Vec<usize> =
            ids.iter().filter_map(|id| id.strip_prefix(prefix)?.strip_prefix('-')?.parse().ok()).collect();
        if numbers != (1..=numbers.len()).collect::<Vec<_>>() {
            faults.push(format!("{prefix}: the numbers have gaps: {numbers:?}"));
        }
    }
    faults.extend(
        groups
            .iter()
            .filter(|(_, prefixes)| prefixes.len() != 1)
            .map(|(group, prefixes)| format!("the group {group} mixes {prefixes:?}")),
    );
    assert_eq!(features.len(), 423, "features are marked, never dropped");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_summaries_count_what_the_tables_hold() {
    let (features, summary) = features();
    let anchors = Document::read(TABLE).anchors;
    let count = |within: &dyn Fn(&Feature) -> bool| {
        let states = STATES.map(|state| features.iter().filter(|one| within(one) && one.state == state).count());
        [states[0], states[1], states[2], states.iter().sum()]
    };
    let groups: Vec<&String> =
        anchors.iter().filter(|anchor| features.iter().any(|feature| feature.group == **anchor)).collect();
    assert_eq!(summary.len(), groups.len() + 1, "a row a group and one for all");
    for (group, (name, counts)) in groups.iter().zip(&summary) {
        assert_eq!(*counts, count(&|feature| feature.group == **group), "{name} at the top and {group} differ");
    }
    let all = count(&|_| true);
    assert_eq!(summary.last().unwrap().1, all, "the last row counts all");

    let [works, partly, not_yet, rows] = all;
    let sentence = format!("Of {rows} features {works} work, {partly} work in part and {not_yet} are not there yet");
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let readme = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(readme.contains(&sentence), "README.md should say: {sentence}");
}

#[test]
fn every_test_that_a_feature_names_is_there() {
    let mut tests = BTreeSet::new();
    for file in files("*.rs") {
        tests.extend(functions_under_test(&std::fs::read_to_string(root().join(&file)).unwrap()));
    }
    assert!(tests.len() > 500, "only {} tests were found", tests.len());
    let mut missing = Vec::new();
    for feature in features().0 {
        for name in feature.shown_by {
            let there = if name.contains('/') { root().join(&name).exists() } else { tests.contains(&name) };
            if !there {
                missing.push(format!("{}: `{name}`", feature.id));
            }
        }
    }
    assert!(missing.is_empty(), "no such test or file:\n{}", missing.join("\n"));
}

/// Names of the functions that carry a test attribute, those of property tests included.
fn functions_under_test(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut marked = false;
    for line in text.lines().map(str::trim_start) {
        let attribute = line.trim_start_matches("#[").split([']', '(']).next().unwrap_or_default();
        if line.starts_with("#[") && attribute.rsplit("::").next() == Some("test") {
            marked = true;
        } else if marked
            && let Some(rest) = line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ")
        {
            found.push(rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect());
            marked = false;
        }
    }
    found
}
