//! A package's bill of material: CycloneDX 1.5, JSON (ECMA-424).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::crates::Crate;
use super::licences::Part;

/// The bill of `package`, which consists of `ours` and everything that needs.
pub(super) fn bill(
    package: &str,
    version: &str,
    licence: &str,
    epoch: u64,
    crates: &BTreeMap<String, Crate>,
    parts: &[&Part],
) -> Value {
    let own = format!("pkg:generic/{package}@{version}");
    let mut components: Vec<Value> = crates.values().map(component).collect();
    components.extend(parts.iter().filter(|part| part.purl.is_some()).map(|part| component_of_part(part)));
    let needs = |purl: &str, on: &[String]| json!({ "ref": purl, "dependsOn": on });
    let roots: Vec<String> = {
        let inner: Vec<&String> = crates.values().flat_map(|one| &one.dependencies).collect();
        let outermost = crates.keys().filter(|purl| !inner.contains(purl)).cloned();
        outermost.chain(parts.iter().filter_map(|part| part.purl.clone())).collect()
    };
    let mut dependencies = vec![needs(&own, &roots)];
    dependencies.extend(crates.iter().map(|(purl, one)| needs(purl, &one.dependencies)));
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "serialNumber": serial(&own, &components),
        "metadata": {
            "timestamp": timestamp(epoch),
            "tools": { "components": [{ "type": "application", "name": "cargo xtask package", "version": version }] },
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": package,
                "version": version,
                "licenses": [{ "expression": licence }],
                "purl": own,
            },
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn component(one: &Crate) -> Value {
    let purl = one.purl();
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": one.name,
        "version": one.version,
        "purl": purl,
    });
    if one.licence != "NOASSERTION" {
        component["licenses"] = json!([{ "expression": one.licence }]);
    }
    if let Some(checksum) = &one.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

fn component_of_part(part: &Part) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "purl": part.purl,
        "licenses": [{ "expression": part.licence }],
    });
    if let Some(version) = &part.version {
        component["version"] = json!(version);
    }
    component
}

/// A UUID of what the bill says, so that two runs of one commit agree (RFC 9562, version 8).
fn serial(own: &str, components: &[Value]) -> String {
    let digest = super::hex(format!("{own} {}", Value::from(components.to_vec())).as_bytes());
    format!(
        "urn:uuid:{}-{}-8{}-8{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[13..16],
        &digest[17..20],
        &digest[20..32]
    )
}

/// RFC 3339, in UTC. Days to date by the era arithmetic of the proleptic Gregorian calendar.
fn timestamp(epoch: u64) -> String {
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    // Years that begin in March have their leap day at the end.
    let since = days + 719_468;
    let (era, day) = (since / 146_097, since % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + carry;
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, needs: &[&str]) -> (String, Crate) {
        let one = Crate {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: "MIT".to_owned(),
            authors: Vec::new(),
            folder: "/".into(),
            foreign: true,
            checksum: Some("00".repeat(32)),
            dependencies: needs.iter().map(|name| format!("pkg:cargo/{name}@1.0.0")).collect(),
        };
        (one.purl(), one)
    }

    #[test]
    fn a_bill_has_what_cyclonedx_requires_and_names_nothing_it_does_not_list() {
        let crates: BTreeMap<String, Crate> = [of("a", &["b"]), of("b", &[])].into();
        let bill = bill("trunkline", "0.1.0", "Apache-2.0", 0, &crates, &[]);
        assert_eq!(bill["bomFormat"], "CycloneDX");
        assert_eq!(bill["specVersion"], "1.5");
        let mut known = vec![bill["metadata"]["component"]["bom-ref"].clone()];
        for component in bill["components"].as_array().into_iter().flatten() {
            assert!(component["type"].is_string() && component["name"].is_string(), "{component}");
            known.push(component["bom-ref"].clone());
        }
        assert_eq!(known.len(), 3);
        for dependency in bill["dependencies"].as_array().into_iter().flatten() {
            assert!(known.contains(&dependency["ref"]), "{dependency}");
            assert!(dependency["dependsOn"].as_array().is_some_and(|on| on.iter().all(|one| known.contains(one))));
        }
        assert_eq!(bill["dependencies"][0]["dependsOn"], json!(["pkg:cargo/a@1.0.0"]));
        let serial = bill["serialNumber"].as_str().unwrap_or_default();
        let parts: Vec<usize> = serial.trim_start_matches("urn:uuid:").split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
    }

    #[test]
    fn times_are_written_as_dates() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(1_795_271_632), "2026-11-21T14:33:52Z");
    }
}
