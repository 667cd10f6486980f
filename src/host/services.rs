//! The host's own services, which programs find by a variable and by a name.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Environment, hosts};
use crate::base::Tasks;

/// Tells programs where the host's services are.
#[derive(Clone, Debug)]
pub struct Services {
    hosts: PathBuf,
    environment: Arc<Environment>,
    /// One file, one writer.
    writing: Arc<tokio::sync::Mutex<()>>,
    tasks: Tasks,
}

impl Services {
    /// Writes to `etc/hosts` below `root`.
    #[must_use]
    pub fn new(root: &std::path::Path, environment: Arc<Environment>, tasks: Tasks) -> Self {
        Self { hosts: root.join("etc/hosts"), environment, writing: Arc::default(), tasks }
    }

    /// Tells the address: the variable at once, the name in the background. A name that cannot be written is logged.
    pub fn at(&self, address: IpAddr) {
        let url = std::net::SocketAddr::new(address, 0).to_string();
        let authority = url.strip_suffix(":0").unwrap_or(&url);
        self.environment.set_internal("E2B_EVENTS_ADDRESS", &format!("http://{authority}"));
        let this = self.clone();
        self.tasks.spawn(async move {
            let writing = Arc::clone(&this.writing).lock_owned().await;
            let write = move || {
                let _writing = writing;
                if let Err(error) = hosts::point(&this.hosts, address) {
                    tracing::warn!(path = %this.hosts.display(), %error, "cannot write the name of the host's services");
                }
            };
            // Goes on when this task is stopped; should the filesystem be frozen, until the thaw.
            let _ = tokio::task::spawn_blocking(write).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::place::tests::Folder;

    #[tokio::test]
    async fn programs_find_the_services_by_variable_and_by_name() {
        let folder = Folder::new("services");
        std::fs::create_dir_all(folder.0.join("etc")).unwrap();
        let (environment, tasks) = (Arc::new(Environment::default()), Tasks::default());
        let services = Services::new(&folder.0, Arc::clone(&environment), tasks.clone());
        for (address, url) in [("fd00::1", "http://[fd00::1]"), ("10.11.0.1", "http://10.11.0.1")] {
            services.at(address.parse().unwrap());
            assert_eq!(environment.all()["E2B_EVENTS_ADDRESS"], url);
        }
        let written = async {
            while tasks.running() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), written).await.unwrap();
        let hosts = std::fs::read_to_string(folder.0.join("etc/hosts")).unwrap();
        assert_eq!(hosts, "10.11.0.1 events.e2b.local\n");
    }
}
