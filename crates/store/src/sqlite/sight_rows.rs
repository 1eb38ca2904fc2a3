//! Which rows somebody sees, within a change. The statements are in [`super::sight`].

use async_trait::async_trait;

use super::{sight, transaction::SqliteTransaction};
use management::port::{
    Error, Kind,
    places::Place,
    sight::{Sight, SightRows},
};

#[async_trait]
impl SightRows for SqliteTransaction {
    async fn sees(&mut self, kind: Kind, id: &str, sight: &Sight) -> Result<bool, Error> {
        Ok(sight::sees(self.connection(), kind, id, sight).await?)
    }

    async fn places_of_others(&mut self, owner: &str) -> Result<Vec<(String, Place)>, Error> {
        Ok(sight::places_of_others(self.connection(), owner).await?)
    }
}
