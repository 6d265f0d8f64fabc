//! Every crate and every whole-product test belongs to an area, so that testing the areas one by one tests all.

use clap::ValueEnum as _;

use super::File;
use crate::areas::Area;
use crate::metadata::{self, Package};
use crate::workspaces::PRODUCT;

const REGISTER: &str = "tests/product/main.rs";

pub(super) fn faults(rust: &[&File]) -> anyhow::Result<Vec<String>> {
    let packages = metadata::packages(PRODUCT)?;
    let mut faults = of_crates(&packages);
    faults.extend(of_product_tests(rust));
    for package in packages.iter().filter(|package| package.targets.iter().all(|target| !target.test)) {
        let inside = format!("{}/src/", package.place());
        for file in rust.iter().filter(|file| file.name.starts_with(&inside) && file.text.contains("#[test]")) {
            faults
                .push(format!("{}: {} is built with `test = false`, so its tests never run", file.name, package.name));
        }
    }
    Ok(faults)
}

fn of_crates(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages.iter().filter(|package| package.is_product()) {
        let areas = Area::value_variants().iter().filter(|area| area.crates().contains(&package.name.as_str())).count();
        if areas != 1 {
            faults.push(format!("{} belongs to {areas} areas in xtask/src/areas.rs and not to one", package.name));
        }
    }
    for area in Area::value_variants() {
        for name in area.crates().iter().filter(|name| packages.iter().all(|package| package.name != **name)) {
            faults.push(format!("area {area} names the crate {name}, which there is not"));
        }
    }
    faults
}

fn of_product_tests(rust: &[&File]) -> Vec<String> {
    let mut faults = Vec::new();
    let registered = rust.iter().find(|file| file.name == REGISTER).map_or("", |file| file.text.as_str());
    for file in rust {
        let Some(module) = file.name.strip_prefix("tests/product/").and_then(|name| name.strip_suffix(".rs")) else {
            continue;
        };
        if module == "main" || module.contains('/') {
            continue;
        }
        let has_tests = file.text.contains("#[test]");
        if has_tests && !Area::value_variants().iter().any(|area| module.starts_with(&area.product_prefix())) {
            faults.push(format!("{}: the name begins with no area of xtask/src/areas.rs", file.name));
        }
        if !registered.lines().any(|line| line == format!("mod {module};")) {
            faults.push(format!("{}: it is not registered in {REGISTER} and never runs", file.name));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::file;

    #[test]
    fn product_tests_without_area_or_registration_are_named() {
        let files = [
            file(REGISTER, "mod kitchen;\nmod sip_answers;\nmod soup_is_hot;\n"),
            file("tests/product/sip_answers.rs", ""),
            file("tests/product/soup_is_hot.rs", "#[test]"),
            file("tests/product/kitchen.rs", ""),
            file("tests/product/media_flows.rs", ""),
        ];
        let faults = of_product_tests(&files.iter().collect::<Vec<_>>());
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("soup_is_hot") && faults[1].contains("media_flows"), "{faults:?}");
    }
}
