//! Compares the database's history with the history in a cursor, and renews the epoch if they differ.
//!
//! A database that was restored from a backup has lost its latest revisions, and it makes revisions with the same
//! numbers again. [`crate::loss`] decides what this means, and how soon the epoch is renewed.

use sqlx::PgConnection;

use super::{PostgresStore, audit, fault::Fault, notify, open::BUSY_TIMEOUT, state::read_state, text::text};
use crate::{
    loss::{Finding, GONE_BACK, LOSS_DUE, MAX_EARLIER_EPOCHS, RENEWED_ELSEWHERE},
    random::{new_epoch, new_word},
};
use management::{
    audit::of_epoch,
    port::{Act, Actor, Error, Latest, Mark, Renewal, State, audit::Action},
};

/// The random word of a revision, in a view whose `state` is known.
pub async fn word_at(connection: &mut PgConnection, state: &State, revision: i64) -> Result<i64, Fault> {
    if revision == state.revision {
        return Ok(state.word);
    }
    Ok(word(connection, revision).await?.ok_or(Error::Gone(revision))?)
}

/// Checks that the database has the revision that `mark` names.
pub async fn check_mark(connection: &mut PgConnection, state: &State, mark: &Mark) -> Result<(), Fault> {
    match finding(connection, state, mark).await? {
        Finding::Had => Ok(()),
        Finding::Earlier | Finding::Lost | Finding::Foreign => Err(Error::OtherHistory(mark.revision).into()),
    }
}

impl PostgresStore {
    pub(super) async fn renew_after(&self, mark: &Mark, act: &Act) -> Result<Option<Renewal>, Fault> {
        // Most of these marks belong to an earlier epoch. They must not wait for the writer.
        let mut reader = self.reader().await?;
        let state = read_state(&mut reader).await?;
        let found = finding(&mut reader, &state, mark).await?;
        if !found.is_due(&state, act.now) && (found != Finding::Lost || state.is_lost) {
            return Ok(None);
        }
        drop(reader);
        let (mut transaction, state, _) = self.begin_writing(BUSY_TIMEOUT).await?;
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
        let renewed = self.renew(&mut transaction, &state, state.renewals, act).await?;
        transaction.commit().await?;
        self.announce(&renewed);
        Ok(Some(Renewal { before: state.epoch, now: renewed.epoch }))
    }

    pub(super) async fn renew_at_once(&self, act: &Act) -> Result<String, Fault> {
        let (mut transaction, state, _) = self.begin_writing(BUSY_TIMEOUT).await?;
        let renewed = self.renew(&mut transaction, &state, state.renewals, act).await?;
        transaction.commit().await?;
        self.announce(&renewed);
        Ok(renewed.epoch)
    }

    /// Compares the database with what was `held` before it was read. If a backup was restored meanwhile, or a loss was
    /// noted, renews the epoch when the pause is over.
    pub(super) async fn follow(&self, held: &Latest, act: &Act) -> Result<(), Fault> {
        let mut reader = self.reader().await?;
        let state = read_state(&mut reader).await?;
        let has_gone_back = has_gone_back(&mut reader, held, &state).await?;
        drop(reader);
        let has_loss_due = state.is_lost && Finding::Lost.is_due(&state, act.now);
        if !has_gone_back && !has_loss_due {
            if state.epoch != held.epoch {
                tracing::warn!(was = held.epoch, epoch = state.epoch, revision = state.revision, "{RENEWED_ELSEWHERE}");
            }
            self.announce(&state);
            return Ok(());
        }
        let (mut transaction, before, _) = self.begin_writing(BUSY_TIMEOUT).await?;
        // Another replica may have renewed it already. While this one holds the lock, the state cannot change.
        let has_gone_back = has_gone_back && before.renewals <= held.renewals;
        if !has_gone_back && !before.is_lost {
            self.announce(&before);
            return Ok(());
        }
        let state = if Finding::Lost.is_due(&before, act.now) {
            remember(&mut transaction, &held.epoch).await?;
            let renewals = before.renewals.max(held.renewals);
            self.renew(&mut transaction, &before, renewals, act).await?
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

    /// Writes a new epoch and remembers the old one. The past stays readable under the new epoch.
    async fn renew(
        &self,
        connection: &mut PgConnection,
        before: &State,
        renewals: i64,
        act: &Act,
    ) -> Result<State, Fault> {
        let state = State {
            epoch: new_epoch()?,
            renewals: renewals.saturating_add(1),
            // An operator's renewal starts no pause.
            renewed_at: if act.actor == Actor::Service { act.now } else { before.renewed_at },
            is_lost: false,
            ..before.clone()
        };
        remember(connection, &before.epoch).await?;
        sqlx::query("UPDATE policy_state SET epoch = $1, renewals = $2, renewed_at = $3, is_lost = false")
            .bind(&state.epoch)
            .bind(state.renewals)
            .bind(state.renewed_at)
            .execute(&mut *connection)
            .await?;
        notify::tell(&mut *connection, &self.channel, &state).await?;
        let entry = of_epoch(act, Action::RenewEpoch, &before.epoch, &state.epoch);
        audit::write(connection, &entry, new_word()?).await?;
        Ok(state)
    }
}

async fn has_gone_back(connection: &mut PgConnection, held: &Latest, state: &State) -> Result<bool, Fault> {
    if (state.renewals, state.revision) < (held.renewals, held.revision) {
        return Ok(true);
    }
    if state.revision == held.revision || state.epoch != held.epoch || held.revision < state.horizon {
        return Ok(state.revision == held.revision && state.word != held.word);
    }
    Ok(word(connection, held.revision).await? != Some(held.word))
}

async fn finding(connection: &mut PgConnection, state: &State, mark: &Mark) -> Result<Finding, Fault> {
    if mark.epoch != state.epoch {
        let known =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM earlier_epoch WHERE epoch = $1)").bind(text(&mark.epoch));
        let known: bool = known.fetch_one(connection).await?;
        return Ok(if known { Finding::Earlier } else { Finding::Foreign });
    }
    // The feed answers 410 for a revision before the horizon, whatever its mark says.
    if mark.revision < state.horizon {
        return Ok(Finding::Had);
    }
    let word = if mark.revision == state.revision { Some(state.word) } else { word(connection, mark.revision).await? };
    Ok(if word == Some(mark.word) { Finding::Had } else { Finding::Lost })
}

async fn word(connection: &mut PgConnection, revision: i64) -> Result<Option<i64>, Fault> {
    let word = sqlx::query_scalar("SELECT word FROM revision_word WHERE revision = $1").bind(revision);
    Ok(word.fetch_optional(connection).await?)
}

async fn note_loss(connection: &mut PgConnection) -> Result<(), Fault> {
    sqlx::query("UPDATE policy_state SET is_lost = true").execute(connection).await?;
    Ok(())
}

/// Remembers an earlier epoch, and forgets the oldest ones beyond [`MAX_EARLIER_EPOCHS`].
async fn remember(connection: &mut PgConnection, epoch: &str) -> Result<(), Fault> {
    sqlx::query(
        r#"
        INSERT INTO earlier_epoch (number, epoch) SELECT coalesce(max(number), 0) + 1, $1 FROM earlier_epoch
        ON CONFLICT (epoch) DO NOTHING"#,
    )
    .bind(epoch)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM earlier_epoch WHERE number <= (SELECT max(number) FROM earlier_epoch) - $1")
        .bind(MAX_EARLIER_EPOCHS)
        .execute(connection)
        .await?;
    Ok(())
}
