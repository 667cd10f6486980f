//! What `/init` said of programs, for an agent that is started again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Environment;
use crate::identity::{Defaults, Kept};

/// The file.
const NAME: &str = "defaults";

#[derive(Serialize, Deserialize)]
struct Said {
    user: String,
    workdir: Option<String>,
    variables: BTreeMap<String, String>,
}

/// Keeps default user, folder and variables as a host has set them.
#[derive(Clone, Debug)]
pub struct Memory {
    kept: Option<Kept>,
    defaults: Arc<Defaults>,
    environment: Arc<Environment>,
}

impl Memory {
    /// Sets what a predecessor was told; remembers nothing where there is no place for it.
    #[must_use]
    pub fn recall(kept: Option<Kept>, defaults: Arc<Defaults>, environment: Arc<Environment>) -> Self {
        let text = kept.as_ref().and_then(|kept| kept.read(NAME));
        if let Some(said) = text.and_then(|text| serde_json::from_str::<Said>(&text).ok()) {
            defaults.set_user(said.user);
            if let Some(workdir) = said.workdir {
                defaults.set_workdir(workdir);
            }
            environment.replace_user(said.variables);
        }
        Self { kept, defaults, environment }
    }

    /// Keeps what holds now.
    pub fn note(&self) {
        let Some(kept) = &self.kept else { return };
        let (user, workdir) = (self.defaults.user(), self.defaults.workdir());
        let said = Said { user, workdir, variables: self.environment.users() };
        if let Ok(text) = serde_json::to_string(&said) {
            kept.write(NAME, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_knows_what_was_said() {
        let folder = std::path::Path::new("/dev/shm").join(format!("thawd-memory-{}", std::process::id()));
        let start = || {
            let environment = Arc::new(Environment::new([("E2B_SANDBOX".to_owned(), "true".to_owned())]));
            let defaults = Arc::new(Defaults::default());
            let memory = Memory::recall(Kept::on(&folder), Arc::clone(&defaults), Arc::clone(&environment));
            (memory, defaults, environment)
        };
        let (first, defaults, environment) = start();
        assert_eq!((defaults.user().as_str(), defaults.workdir()), ("root", None));
        defaults.set_user("user".into());
        defaults.set_workdir("/srv".into());
        environment.replace_user([("A".to_owned(), "1".to_owned())]);
        first.note();
        let (_, defaults, environment) = start();
        assert_eq!((defaults.user().as_str(), defaults.workdir().as_deref()), ("user", Some("/srv")));
        assert_eq!(environment.all().len(), 2);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
