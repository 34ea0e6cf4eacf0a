use crate::workspace::{Environment, Workspace};
use anyhow::Result;
pub struct Connection {
    pub psql: String,
    pub variables: Vec<(String, String)>,
}
impl Connection {
    pub fn describe(&self) -> String {
        String::new()
    }
}
pub struct Target;
impl Target {
    pub fn of(_w: &Workspace, _e: &Environment, _s: &str) -> Result<Target> {
        Ok(Target)
    }
    pub fn for_test(_w: &Workspace, _s: &str) -> Result<Target> {
        Ok(Target)
    }
    pub fn remove_test_cluster(_w: &Workspace, _s: &str) -> Result<()> {
        Ok(())
    }
    pub fn scratch(&self, _n: &str) -> Result<Target> {
        Ok(Target)
    }
    pub fn ensure_running(&self) -> Result<()> {
        Ok(())
    }
    pub fn recreate(&self) -> Result<()> {
        Ok(())
    }
    pub fn service_url(&self) -> String {
        String::new()
    }
    pub fn owner_url(&self) -> String {
        String::new()
    }
    pub fn describe(&self) -> String {
        String::new()
    }
    pub fn connection(&self) -> Result<Connection> {
        todo!()
    }
    pub fn service_connection(&self) -> Result<Connection> {
        todo!()
    }
}
