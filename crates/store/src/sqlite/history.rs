//! Compares the database's history with the history in a cursor, and renews the epoch if they differ.
//!
//! A database that was restored from a backup has lost its latest revisions, and it makes revisions with the same
//! numbers again. A gateway that holds a lost revision would never learn what replaced it. Its cursor reveals the loss
//! ([`Mark`]). The policy then gets a new epoch, and all gateways fetch the full policy. This file detects the loss and
//! renews the epoch. It knows no HTTP.

use sqlx::SqliteConnection;

use super::{SqliteStore, audit, fault::Fault, state::read_state};
use crate::{
    loss::{Finding, GONE_BACK, LOSS_DUE, MAX_EARLIER_EPOCHS, RENEWED_ELSEWHERE},
    random::{new_epoch, new_word},
};
use management::{
    audit::of_epoch,
    port::{Act, Actor, Error, Latest, Mark, Renewal, State, audit::Action},
};

/// The random word of a revision, in a view whose `state` is known.
pub async fn word_at(connection: &mut SqliteConnection, state: &State, revision: i64) -> Result<i64, Fault> {
    if revision == state.revision {
        return Ok(state.word);
    }
    Ok(word(connection, revision).await?.ok_or(Error::Gone(revision))?)
}

/// Checks that the database has the revision that `mark` names.
pub async fn check_mark(connection: &mut SqliteConnection, state: &State, mark: &Mark) -> Result<(), Fault> {
    match finding(connection, state, mark).await? {
        Finding::Had => Ok(()),
        Finding::Earlier | Finding::Lost | Finding::Foreign => Err(Error::OtherHistory(mark.revision).into()),
    }
}

impl SqliteStore {
    pub(super) async fn renew_after(&self, mark: &Mark, act: &Act) -> Result<Option<Renewal>, Fault> {
        // Most of these marks belong to an earlier epoch. They must not wait for the writer.
        let mut reader = self.readers.acquire().await?;
        let state = read_state(&mut reader).await?;
        let found = finding(&mut reader, &state, mark).await?;
        if !found.is_due(&state, act.now) && (found != Finding::Lost || state.is_lost) {
            return Ok(None);
        }
        drop(reader);
        let mut transaction = self.lock().await?;
        let state = read_state(&mut transaction).await?;
        let finding = finding(&mut transaction, &state, mark).await?;
        if !finding.is_due(&state, act.now) {
            if finding == Finding::Lost {
                note_loss(&mut transaction).await?;
                transaction.commit().await?;
            }
            return Ok(None);
        }
        if finding == Finding::Foreign {
            remember(&mut transaction, &mark.epoch).await?;
        }
        let renewed = renew(&mut transaction, &state, state.renewals, act).await?;
        transaction.commit().await?;
        self.announce(&renewed);
        Ok(Some(Renewal { before: state.epoch, now: renewed.epoch }))
    }

    pub(super) async fn renew_at_once(&self, act: &Act) -> Result<String, Fault> {
        let mut transaction = self.lock().await?;
        let state = read_state(&mut transaction).await?;
        let renewed = renew(&mut transaction, &state, state.renewals, act).await?;
        transaction.commit().await?;
        self.announce(&renewed);
        Ok(renewed.epoch)
    }

    /// Compares the database with what was `held` before it was read. If another process has restored a backup, or a
    /// loss was noted, renews the epoch when the pause is over.
    pub(super) async fn follow(&self, held: &Latest, act: &Act) -> Result<(), Fault> {
        let state = read_state(&mut *self.readers.acquire().await?).await?;
        let has_gone_back = self.has_gone_back(held, &state).await?;
        let has_loss_due = state.is_lost && Finding::Lost.is_due(&state, act.now);
        if !has_gone_back && !has_loss_due {
            if state.epoch != held.epoch {
                tracing::warn!(was = held.epoch, epoch = state.epoch, revision = state.revision, "{RENEWED_ELSEWHERE}");
            }
            self.announce(&state);
            return Ok(());
        }
        let mut transaction = self.lock().await?;
        let before = read_state(&mut transaction).await?;
        if !has_gone_back && !before.is_lost {
            // Another process has renewed it already.
            self.announce(&before);
            return Ok(());
        }
        let state = if Finding::Lost.is_due(&before, act.now) {
            remember(&mut transaction, &held.epoch).await?;
            let renewals = before.renewals.max(held.renewals);
            renew(&mut transaction, &before, renewals, act).await?
        } else {
            note_loss(&mut transaction).await?;
            before
        };
        transaction.commit().await?;
        let why = if has_gone_back { GONE_BACK } else { LOSS_DUE };
        tracing::warn!(was = held.revision, revision = state.revision, epoch = state.epoch, "{why}");
        self.latest.send_replace(Latest::of(&state));
        Ok(())
    }

    async fn has_gone_back(&self, held: &Latest, state: &State) -> Result<bool, Fault> {
        if (state.renewals, state.revision) < (held.renewals, held.revision) {
            return Ok(true);
        }
        if state.revision == held.revision || state.epoch != held.epoch || held.revision < state.horizon {
            return Ok(state.revision == held.revision && state.word != held.word);
        }
        Ok(word(&mut *self.readers.acquire().await?, held.revision).await? != Some(held.word))
    }
}

async fn finding(connection: &mut SqliteConnection, state: &State, mark: &Mark) -> Result<Finding, Fault> {
    if mark.epoch != state.epoch {
        let known = sqlx::query("SELECT 1 FROM earlier_epoch WHERE epoch = ?").bind(&mark.epoch);
        let known = known.fetch_optional(connection).await?.is_some();
        return Ok(if known { Finding::Earlier } else { Finding::Foreign });
    }
    // The feed answers 410 for a revision before the horizon, whatever its mark says.
    if mark.revision < state.horizon {
        return Ok(Finding::Had);
    }
    let word = if mark.revision == state.revision { Some(state.word) } else { word(connection, mark.revision).await? };
    Ok(if word == Some(mark.word) { Finding::Had } else { Finding::Lost })
}

async fn word(connection: &mut SqliteConnection, revision: i64) -> Result<Option<i64>, Fault> {
    let word = sqlx::query_scalar("SELECT word FROM revision_word WHERE revision = ?").bind(revision);
    Ok(word.fetch_optional(connection).await?)
}

/// Writes a new epoch and remembers the old one. The past stays readable under the new epoch.
async fn renew(connection: &mut SqliteConnection, before: &State, renewals: i64, act: &Act) -> Result<State, Fault> {
    let state = State {
        epoch: new_epoch()?,
        renewals: renewals.saturating_add(1),
        // An operator's renewal starts no pause.
        renewed_at: if act.actor == Actor::Service { act.now } else { before.renewed_at },
        is_lost: false,
        ..before.clone()
    };
    remember(connection, &before.epoch).await?;
    sqlx::query("UPDATE policy_state SET epoch = ?").bind(&state.epoch).execute(&mut *connection).await?;
    sqlx::query("UPDATE history SET renewals = ?, renewed_at = ?, is_lost = 0")
        .bind(state.renewals)
        .bind(state.renewed_at)
        .execute(&mut *connection)
        .await?;
    let entry = of_epoch(act, Action::RenewEpoch, &before.epoch, &state.epoch);
    audit::write(connection, &entry, new_word()?).await?;
    Ok(state)
}

/// Gives rows of another history, which have just replaced the rows of this one, an epoch of their own.
pub(super) async fn replace(
    connection: &mut SqliteConnection,
    before: &State,
    restored: &State,
    act: &Act,
) -> Result<State, Fault> {
    remember(connection, &before.epoch).await?;
    let state = renew(connection, restored, before.renewals.max(restored.renewals), act).await?;
    // Receipts go by this time: the rows that came know nothing of the gateways that called since they were written.
    sqlx::query("UPDATE history SET renewed_at = ?").bind(act.now).execute(&mut *connection).await?;
    let state = State { renewed_at: act.now, ..state };
    let entry = of_epoch(act, Action::Restore, &before.epoch, &state.epoch);
    audit::write(connection, &entry, new_word()?).await?;
    Ok(state)
}

async fn note_loss(connection: &mut SqliteConnection) -> Result<(), Fault> {
    sqlx::query("UPDATE history SET is_lost = 1").execute(connection).await?;
    Ok(())
}

/// Remembers an earlier epoch, and forgets the oldest ones beyond [`MAX_EARLIER_EPOCHS`].
async fn remember(connection: &mut SqliteConnection, epoch: &str) -> Result<(), Fault> {
    sqlx::query("INSERT OR IGNORE INTO earlier_epoch (epoch) VALUES (?)").bind(epoch).execute(&mut *connection).await?;
    sqlx::query("DELETE FROM earlier_epoch WHERE number <= (SELECT max(number) FROM earlier_epoch) - ?")
        .bind(MAX_EARLIER_EPOCHS)
        .execute(connection)
        .await?;
    Ok(())
}
