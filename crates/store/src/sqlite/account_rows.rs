//! Tokens and gateways' credentials within a change. [`super::accounts`] has the statements.

use async_trait::async_trait;

use super::{
    accounts::{count, credential, find, insert_credential, insert_token, token, update_scope},
    sessions,
    transaction::SqliteTransaction,
};
use management::port::{
    Error, Scope,
    accounts::{AccountRows, Credential, SecretHash, Token},
};

#[async_trait]
impl AccountRows for SqliteTransaction {
    async fn count_tokens(&mut self) -> Result<i64, Error> {
        Ok(count(self.connection(), "token").await?)
    }

    async fn add_token(&mut self, token: &Token, secret: &SecretHash) -> Result<(), Error> {
        insert_token(self.connection(), token, secret).await?;
        Ok(self.note_accounts().await?)
    }

    async fn remove_token(&mut self, id: &str) -> Result<Option<Token>, Error> {
        let removed = find(self.connection(), "DELETE FROM token WHERE id = ? RETURNING *", id, token).await?;
        sessions::remove_of_token(self.connection(), id).await?;
        self.note_accounts().await?;
        Ok(removed)
    }

    async fn count_credentials(&mut self) -> Result<i64, Error> {
        Ok(count(self.connection(), "gateway_credential").await?)
    }

    async fn add_credential(&mut self, credential: &Credential, secret: &SecretHash) -> Result<(), Error> {
        insert_credential(self.connection(), credential, secret).await?;
        Ok(self.note_accounts().await?)
    }

    async fn set_scope(&mut self, id: &str, scope: &Scope) -> Result<Option<Credential>, Error> {
        let found = "SELECT * FROM gateway_credential WHERE id = ?";
        let before = find(self.connection(), found, id, credential).await?;
        update_scope(self.connection(), id, scope).await?;
        self.note_accounts().await?;
        Ok(before)
    }

    async fn remove_credential(&mut self, id: &str) -> Result<Option<Credential>, Error> {
        let removed = "DELETE FROM gateway_credential WHERE id = ? RETURNING *";
        let removed = find(self.connection(), removed, id, credential).await?;
        self.note_accounts().await?;
        Ok(removed)
    }
}
