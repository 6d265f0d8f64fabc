//! Knowledge bases of a gateway: folders of texts beside its objects, indexed in memory when a revision is put into service.
//!
//! `knowledge/NAME/` holds a base for the agents of every tenant, `knowledge/ten_.../NAME/` one for those of that tenant,
//! which comes first. Of each, `.md` and `.txt` files are read, in folders within it, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use trunkline_api::Id;
use trunkline_api::id::Prefix;
use trunkline_call::Passage;
use trunkline_call::knowledge::{KnowledgeBase, MAX_PASSAGES};

/// Most files of a base, and most bytes of one; handbooks are smaller, and logs are no knowledge.
const MAX_FILES: usize = 2000;
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Most bytes of all bases together: the index takes about as much memory again.
const MAX_BYTES: u64 = 64 << 20;
/// Most folders within one another.
const MAX_DEPTH: usize = 4;

/// Files with their lengths and times of change, by which it is known whether a base is as it was.
type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// Every base of a gateway.
#[derive(Debug, Default)]
pub struct Library {
    bases: BTreeMap<(Option<Id>, String), KnowledgeBase>,
    stamp: Stamp,
}

impl Library {
    /// Reads the bases of a folder, which need not exist. What was read `before` is used again when no file has changed.
    /// Files that cannot be read or are too many are left out and named.
    #[must_use]
    pub fn load(folder: &Path, before: Option<&Arc<Self>>) -> (Arc<Self>, Vec<String>) {
        let mut reader = Reader::default();
        for base in reader.folders(folder) {
            let Some(name) = name_of(&base) else { continue };
            match name.parse::<Id>().ok().filter(|id| id.prefix() == Prefix::Tenant) {
                Some(tenant) => {
                    for base in reader.folders(&base) {
                        if let Some(name) = name_of(&base) {
                            reader.base(Some(tenant.clone()), name, &base);
                        }
                    }
                }
                None => reader.base(None, name, &base),
            }
        }
        if let Some(before) = before.filter(|before| before.stamp == reader.stamp) {
            return (Arc::clone(before), reader.problems);
        }
        let mut bases = BTreeMap::new();
        for ((tenant, name), files) in reader.bases {
            let mut base = KnowledgeBase::default();
            for (title, path) in files {
                match fs::read_to_string(&path) {
                    Ok(text) => base.add(&format!("{name}/{title}"), &text),
                    Err(error) => {
                        reader.problems.push(format!("knowledge: {} cannot be read: {error}", path.display()))
                    }
                }
            }
            if base.left_out() > 0 {
                let left_out = base.left_out();
                reader.problems.push(format!(
                    "knowledge: {left_out} passages of base `{name}` are left out, because it has more than {MAX_PASSAGES}"
                ));
            }
            bases.insert((tenant, name), base);
        }
        (Arc::new(Self { bases, stamp: reader.stamp }), reader.problems)
    }

    /// Whether `tenant`'s agents have a base of that name.
    #[must_use]
    pub fn has(&self, tenant: &Id, name: &str) -> bool {
        self.base(tenant, name).is_some()
    }

    /// The passages that fit best, of all those bases together.
    ///
    /// # Errors
    /// The name of a base that there is not.
    pub fn search(&self, tenant: &Id, bases: &[String], query: &str, top: usize) -> Result<Vec<Passage>, String> {
        let mut found = Vec::new();
        for name in bases {
            let Some(base) = self.base(tenant, name) else {
                return Err(format!("there is no knowledge base `{name}`; see `trunkline check`"));
            };
            found.extend(base.search(query, top));
        }
        found.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        Ok(found.into_iter().take(top).map(|(_, passage)| passage.clone()).collect())
    }

    fn base(&self, tenant: &Id, name: &str) -> Option<&KnowledgeBase> {
        let of = |tenant: Option<Id>| self.bases.get(&(tenant, name.to_owned()));
        of(Some(tenant.clone())).or_else(|| of(None))
    }
}

/// Texts of a base: what each is called, and where it lies.
type Texts = Vec<(String, PathBuf)>;

/// Looks for the files of bases.
#[derive(Default)]
struct Reader {
    bases: BTreeMap<(Option<Id>, String), Texts>,
    stamp: Stamp,
    problems: Vec<String>,
    bytes: u64,
}

impl Reader {
    /// Entries of a folder in the order of their names; none when there is no such folder.
    fn entries(&mut self, folder: &Path) -> Vec<PathBuf> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.problems.push(format!("knowledge: {} cannot be read: {error}", folder.display()));
                return Vec::new();
            }
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }

    fn folders(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut folders = self.entries(folder);
        folders.retain(|path| path.is_dir() && name_of(path).is_some_and(|name| !name.starts_with('.')));
        folders
    }

    fn base(&mut self, tenant: Option<Id>, name: String, folder: &Path) {
        let mut files = Vec::new();
        self.files(folder, "", 0, &mut files);
        if files.len() > MAX_FILES {
            self.problems
                .push(format!("knowledge: base `{name}` has more than {MAX_FILES} files; the last are left out"));
            files.truncate(MAX_FILES);
        }
        let mut kept = Vec::new();
        for (title, path) in files {
            let Ok(about) = fs::metadata(&path) else { continue };
            if about.len() > MAX_FILE_BYTES || self.bytes + about.len() > MAX_BYTES {
                let (most, all) = (MAX_FILE_BYTES >> 20, MAX_BYTES >> 20);
                self.problems.push(format!(
                    "knowledge: {} is left out: a file may have {most} MiB, all together {all} MiB",
                    path.display()
                ));
                continue;
            }
            self.bytes += about.len();
            self.stamp.push((path.clone(), about.len(), about.modified().ok()));
            kept.push((title, path));
        }
        self.bases.insert((tenant, name), kept);
    }

    fn files(&mut self, folder: &Path, under: &str, depth: usize, files: &mut Texts) {
        for path in self.entries(folder) {
            let Some(name) = name_of(&path).filter(|name| !name.starts_with('.')) else { continue };
            let title = if under.is_empty() { name } else { format!("{under}/{name}") };
            if path.is_dir() {
                if depth < MAX_DEPTH && files.len() <= MAX_FILES {
                    self.files(&path, &title, depth + 1, files);
                }
            } else if path.extension().is_some_and(|kind| kind == "md" || kind == "txt") {
                files.push((title, path));
            }
        }
    }
}

fn name_of(path: &Path) -> Option<String> {
    path.file_name().and_then(|name| name.to_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_own_base_comes_first_and_is_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let tenant = |n: char| -> Id { format!("ten_{}", n.to_string().repeat(26)).parse().unwrap() };
        write("faq/hours.md", "# Opening\nWe open at nine.");
        write("faq/more/old.txt", "We are in the old town.");
        write("faq/picture.png", "no text");
        write(&format!("{}/faq/hours.md", tenant('1')), "We open at ten.");
        write(&format!("{}/own/a.md", tenant('1')), "A secret recipe.");
        let (library, problems) = Library::load(folder.path(), None);
        assert_eq!(problems, Vec::<String>::new());
        let search = |tenant: &Id, base: &str, query: &str| {
            let found = library.search(tenant, &[base.to_owned()], query, 3)?;
            Ok::<_, String>(found.into_iter().map(|passage| (passage.name, passage.text)).collect::<Vec<_>>())
        };
        let pair = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
        assert_eq!(search(&tenant('1'), "faq", "open").unwrap(), pair("faq/hours.md", "We open at ten."));
        assert_eq!(search(&tenant('2'), "faq", "open").unwrap(), pair("faq/hours.md: Opening", "We open at nine."));
        assert_eq!(search(&tenant('2'), "faq", "town").unwrap(), pair("faq/more/old.txt", "We are in the old town."));
        assert!(search(&tenant('2'), "own", "recipe").unwrap_err().contains("`own`"));
        // What did not change is not indexed again.
        let (again, _) = Library::load(folder.path(), Some(&library));
        assert!(Arc::ptr_eq(&again, &library));
        write("faq/hours.md", "# Opening\nWe open at half past nine.");
        let (changed, _) = Library::load(folder.path(), Some(&library));
        assert!(!Arc::ptr_eq(&changed, &library));
        let (none, problems) = Library::load(&folder.path().join("nothing"), None);
        assert!(problems.is_empty() && !none.has(&tenant('1'), "faq"));
    }
}
