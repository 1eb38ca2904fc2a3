//! A gateway, as `/v1` answers it, and what it means in words.

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Gateway {
    pub id: String,
    pub client_id: String,
    #[serde(default)]
    pub instance: Option<String>,
    #[serde(default)]
    pub version: Option<String>,
    #[serde(default)]
    pub workers: Option<u32>,
    #[serde(default)]
    pub lagging: Option<u32>,
    #[serde(default)]
    pub address: Option<String>,
    pub state: String,
    pub last_seen: i64,
    #[serde(default)]
    pub revision: Option<i64>,
    #[serde(default)]
    pub behind: Option<i64>,
    #[serde(default)]
    pub refused: Option<Refused>,
}

/// A revision that a gateway did not take.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Refused {
    pub revision: i64,
    pub reason: String,
}

/// Seconds after which a live gateway that is behind does not just need a moment.
const QUIET: i64 = 10;

impl Gateway {
    /// What people call it.
    pub fn title(&self) -> &str {
        self.instance.as_deref().unwrap_or("an unnamed gateway")
    }

    /// What stands in the way of a live gateway, in words: it is behind, workers lag, or it refuses a revision.
    ///
    /// `now` is in Unix seconds.
    pub fn trouble(&self, now: i64) -> Option<String> {
        if let Some(refused) = &self.refused {
            return Some(refused.words());
        }
        if let Some(lagging) = self.lagging.filter(|lagging| *lagging > 0) {
            return Some(format!(
                "{lagging} of its workers still decide by an older policy. If that lasts for minutes, a worker hangs: restart this Envoy."
            ));
        }
        match (self.state.as_str(), self.behind) {
            ("silent", _) => Some(
                "The service does not hear from it, so it may decide by an old policy. Look whether this Envoy runs and \
                 reaches the service; its log says why a call fails."
                    .to_owned(),
            ),
            ("gone", _) => Some("It was silent for so long that receipts do not count it. Remove it if it is not coming back.".to_owned()),
            // A gateway that runs holds a poll, and calls again at once after it.
            (_, Some(1..)) if now.saturating_sub(self.last_seen) > QUIET => Some(
                "It has not taken the latest revision, and has not called for some seconds. If it was stopped, it is called \
                 silent as soon as its next call is overdue. If it runs, its log says why a call fails."
                    .to_owned(),
            ),
            (_, Some(1..)) => Some("It has not taken the latest revision yet. That takes a second or so.".to_owned()),
            (_, None) if self.revision.is_none() => {
                Some("It has not shown yet by which revision it decides. An old filter never does: update it.".to_owned())
            }
            _ => None,
        }
    }
}

impl Refused {
    /// Why, and what to do.
    pub fn words(&self) -> String {
        let Self { revision, reason } = self;
        let why = match reason.as_str() {
            "rollback" => {
                "it is older than the one that the gateway has. Was the database restored from a backup? Renew the epoch \
                 (policy-service renew-epoch), and gateways fetch everything again"
            }
            "shrink" => {
                "too many of the known keys would go at once. If that is meant, raise policy.max_removed_percent of this gateway \
                 for a while; if not, restore an earlier revision"
            }
            "page" => {
                "a page of it cannot be used. `policy-service check` names the row, and the log of this Envoy says why"
            }
            _ => "the log of this Envoy says why",
        };
        format!("It refuses revision {revision}: {why}. Meanwhile it decides by the policy that it has.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn trouble_is_told_with_what_to_do() {
        let live = Gateway { state: "live".to_owned(), revision: Some(5), behind: Some(0), ..Gateway::default() };
        assert_eq!(live.trouble(NOW), None);
        assert_eq!(Gateway { lagging: Some(0), ..live.clone() }.trouble(NOW), None);
        let refused = |reason: &str| Some(Refused { revision: 7, reason: reason.to_owned() });
        for (gateway, part) in [
            (Gateway { behind: Some(2), last_seen: NOW, ..live.clone() }, "a second or so"),
            (Gateway { behind: Some(2), last_seen: NOW - 11, ..live.clone() }, "has not called for some seconds"),
            (Gateway { lagging: Some(2), ..live.clone() }, "2 of its workers"),
            (Gateway { revision: None, behind: None, ..live.clone() }, "not shown"),
            (Gateway { state: "silent".to_owned(), ..live.clone() }, "does not hear"),
            (Gateway { state: "gone".to_owned(), ..live.clone() }, "Remove it"),
            (Gateway { refused: refused("rollback"), ..live.clone() }, "revision 7: it is older"),
            (Gateway { refused: refused("shrink"), ..live.clone() }, "max_removed_percent"),
            (Gateway { refused: refused("page"), ..live.clone() }, "policy-service check"),
            (Gateway { refused: refused("other"), ..live.clone() }, "log of this Envoy"),
        ] {
            assert!(gateway.trouble(NOW).is_some_and(|words| words.contains(part)), "{gateway:?}");
        }
    }
}
