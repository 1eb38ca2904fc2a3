//! Applications: who sends requests.

use keygate::policy::{rows, wire};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    check,
    resource::{Reference, Resource, plain_row},
    subscriptions::Subscription,
};
use crate::{
    problem::Problem,
    store::{
        Change, Kind, NewRow, Version, read,
        usage::{self, Pair},
    },
    usage::quota::{self, Limited},
};

/// An application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// 1 to 256 bytes without control characters; made if it is left out.
    #[serde(default)]
    pub id: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whom it belongs to; deny policies of type USER speak of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// ACTIVE unless given.
    #[serde(default)]
    pub state: Option<ApplicationState>,
    /// The plan that counts over all its APIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Until when its plan is used up, Unix time: the end of the day or month. It comes from the usage reported; what a
    /// client sends here is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(read_only)]
    pub used_up_until: Option<i64>,
}

/// Whether an application may call anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ApplicationState {
    /// It may.
    Active,
    /// It may not.
    Blocked,
}

impl Resource for Application {
    const KIND: Kind = Kind::Application;
    const PREFIX: &'static str = "app-";
    const PATH: &'static str = "/v1/applications";

    fn id(&mut self) -> &mut Option<String> {
        &mut self.id
    }

    fn complete(&mut self, held: Option<&Self>) -> Result<(), Problem> {
        self.state = self.state.or(held.and_then(|held| held.state)).or(Some(ApplicationState::Active));
        self.used_up_until = None;
        Ok(())
    }

    fn check(&self) -> Result<(), Problem> {
        check::row::<wire::ApplicationRow<'_>, rows::Application<'_>>(&self.row()?.document)
    }

    fn row(&self) -> Result<NewRow, Problem> {
        let id = self.id.clone().unwrap_or_default();
        Ok(NewRow { application: Some(id.clone()), plan: self.plan.clone(), ..plain_row(self, id)? })
    }

    async fn settle(&mut self, change: &mut Change, held: Option<&Self>) -> Result<(), Problem> {
        quota::settle(change, self, held).await
    }

    fn references(&self) -> Vec<Reference> {
        self.plan.iter().map(|plan| Reference::new("plan", Kind::Plan, plan)).collect()
    }

    /// Its keys and subscriptions go with it. Blocks stay, so that an application that comes back under the same id does
    /// not escape them.
    async fn remove(change: &mut Change, held: &Version) -> Result<Option<Self>, Problem> {
        for dependent in read::of_application(change.connection(), &held.id).await? {
            match dependent.kind {
                Kind::Subscription => Subscription::remove(change, &dependent).await.map(drop)?,
                _ => {
                    change.remove(&dependent).await?;
                    usage::forget_key(change.connection(), &dependent.id).await?;
                }
            }
        }
        Ok(change.remove(held).await.map(|()| None)?)
    }
}

impl Limited for Application {
    fn plan(&self) -> Option<&str> {
        self.plan.as_deref()
    }

    /// Over all its APIs.
    fn pair(&self) -> Pair {
        Pair { application: self.id.clone().unwrap_or_default(), api: String::new() }
    }

    fn mark(&mut self) -> &mut Option<i64> {
        &mut self.used_up_until
    }
}
