//! What every part that writes the archive looks at.

use super::dataset::Dataset;
use super::fault::Fault;
use super::store::StoreSnapshot;
use super::subject::Subject;
use crate::contract::export::{ExportPlan, Format};
use crate::worker::guard::Guard;

/// What every part that writes the archive looks at.
pub struct Context<'a> {
    /// The plan.
    pub plan: &'a ExportPlan,
    /// The stores, walked.
    pub stores: &'a [StoreSnapshot<'a>],
    /// The person.
    pub subject: &'a Subject,
    /// What ends the run.
    pub guard: &'a Guard,
}

/// A dataset with rows, and where it stands.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// Its store.
    pub store: &'a StoreSnapshot<'a>,
    /// Place of the store.
    pub store_place: usize,
    /// The dataset.
    pub dataset: &'a Dataset,
    /// Its place in the store.
    pub place: usize,
}

impl<'a> Context<'a> {
    /// The datasets that are part of the archive, in the order of the plan.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let stores: &'a [StoreSnapshot<'a>] = self.stores;
        stores.iter().enumerate().flat_map(|(store_place, store)| {
            store.datasets.iter().enumerate().filter_map(move |(place, dataset)| {
                let dataset = dataset.as_ref().filter(|dataset| dataset.left_out.is_none())?;
                Some(Part {
                    store,
                    store_place,
                    dataset,
                    place,
                })
            })
        })
    }

    /// Whether the archive has this format.
    #[must_use]
    pub fn has(&self, format: Format) -> bool {
        self.plan.formats.contains(&format)
    }

    /// Ends the run where it must end.
    pub fn go_on(&self) -> Result<(), Fault> {
        self.guard.stop().map_or(Ok(()), |reason| Err(Fault::stop(reason)))
    }
}

impl Part<'_> {
    /// Its rows.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.store.walked[self.place].rows
    }

    /// The dataset within the names of files: letters, digits, hyphens and single dots, whatever a plan says.
    #[must_use]
    pub fn folder(&self) -> String {
        let store = safe(&self.store.planned.name, self.store_place);
        format!("{store}/{}", safe(&self.dataset.name, self.place))
    }

    /// The same as one name.
    #[must_use]
    pub fn name(&self) -> String {
        self.folder().replace('/', ".")
    }

    /// Name of the file with a value of bytes. Rows are counted from 1, in their order.
    #[must_use]
    pub fn file(&self, row: u64, column: usize, first: &[u8]) -> String {
        format!("files/{}/{row:06}-{}.{}", self.folder(), column + 1, ending(first))
    }
}

fn safe(name: &str, place: usize) -> String {
    let is_safe = name.len() <= 100
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !name.contains("..")
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    if is_safe { name.to_owned() } else { format!("n{place}") }
}

/// The ending by which a person's computer knows what to open a file with. Only kinds that run nothing.
fn ending(first: &[u8]) -> &'static str {
    match first {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpg",
        [b'G', b'I', b'F', b'8', ..] => "gif",
        [b'%', b'P', b'D', b'F', ..] => "pdf",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "mp4",
        [b'P', b'K', 3, 4, ..] => "zip",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_archive_lead_nowhere_else() {
        assert_eq!(safe("shop-db.eu", 0), "shop-db.eu");
        for name in [
            "../../etc",
            "a/b",
            "..",
            "a..b",
            "",
            "-a",
            ".a",
            "A",
            "ä",
            "a\\b",
            "a\nb",
        ] {
            assert_eq!(safe(name, 7), "n7", "{name:?}");
        }
        assert_eq!(ending(b"\x89PNG\r\n"), "png");
        assert_eq!(ending(b"<html><script>"), "bin");
        assert_eq!(ending(b""), "bin");
    }
}
