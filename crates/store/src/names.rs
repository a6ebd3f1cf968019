//! Names of datasets: case is ignored, the first spelling wins, slugs are unique.
//!
//! Owns: lookup and slugs. Never does: know anything else of a dataset.

use hashbrown::HashMap;

/// Names and slugs in use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_name: HashMap<String, u64>,
    by_slug: HashMap<String, u64>,
}

impl Names {
    pub(crate) fn insert(&mut self, name: &str, slug: &str, id: u64) {
        self.by_name.insert(name.to_lowercase(), id);
        self.by_slug.insert(slug.to_owned(), id);
    }

    pub(crate) fn remove(&mut self, name: &str, slug: &str) {
        self.by_name.remove(&name.to_lowercase());
        self.by_slug.remove(slug);
    }

    /// By name alone: that is what senders give.
    pub(crate) fn by_name(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).or_else(|| self.by_name.get(&name.to_lowercase())).copied()
    }

    /// By name, else by slug.
    pub(crate) fn find(&self, name_or_slug: &str) -> Option<u64> {
        self.by_name(name_or_slug).or_else(|| self.by_slug.get(&name_or_slug.to_lowercase()).copied())
    }

    /// By slug, else by name: for those who were told the slug.
    pub(crate) fn find_slug(&self, slug_or_name: &str) -> Option<u64> {
        self.by_slug.get(slug_or_name).copied().or_else(|| self.find(slug_or_name))
    }

    /// A slug for a new dataset: not another's slug, and not another's name either as far as that can be avoided.
    pub(crate) fn free_slug(&self, name: &str) -> String {
        let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-' { c } else { '-' };
        let base: String = name.to_lowercase().chars().map(plain).collect();
        let mut slug = base.clone();
        let mut n = 1u32;
        while self.by_slug.contains_key(&slug) || self.by_name.contains_key(&slug) {
            n += 1;
            slug = format!("{base}-{n}");
        }
        slug
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_lower_case_and_unique() {
        let mut names = Names::default();
        let made: Vec<String> = ["My Service", "my+service", "My/Service", "a_b-9", "Größe", "日本", "__", "my-service"]
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let slug = names.free_slug(name);
                names.insert(name, &slug, i as u64);
                slug
            })
            .collect();
        assert_eq!(made, ["my-service", "my-service-2", "my-service-3", "a_b-9", "gr--e", "--", "__", "my-service-4"]);
        assert_eq!((names.find("MY SERVICE"), names.find("my-service-2"), names.find("GRÖßE")), (Some(0), Some(1), Some(4)));
        // A name goes before a slug; senders never reach a dataset by its slug.
        assert_eq!((names.find("My-Service"), names.by_name("my-service-2")), (Some(7), None));
        // But who was told a slug means that.
        assert_eq!((names.find_slug("my-service"), names.find_slug("my-service-4")), (Some(0), Some(7)));
        assert_eq!((names.find_slug("My Service"), names.find_slug("no")), (Some(0), None));
    }
}
