//! The packed records of shards: a key, or an application with its subscriptions.
//!
//! Records are written from the rows of a page, and read back in the form that the decision needs. A record with bytes
//! left over is corrupt.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::shard::RecordKey;
use crate::{
    digest::Digest,
    equal::equal,
    fingerprint::TagKey,
    policy::{ApplicationState, KeyState, KeyType, SubscriptionState, Text, block::Block, rows},
    request::referer::RefererPattern,
    shared::{
        Corrupt, as_u64,
        bytes::{Reader, Write},
    },
    subject::{Application, Key, Restrictions, Subscription, Texts},
};

/// Size limit of a key's record in bytes. A key with a thousand restrictions of each kind is smaller. A row that needs
/// more is rejected.
pub const MAX_KEY_BYTES: usize = 512 << 10;
/// Size limit of an application's record in bytes: some 30,000 subscriptions with short ids, 10,000 with UUIDs, 1,000
/// with the longest ids. Further subscriptions are left out. A request with an uncached key copies and checks the whole
/// record, at some 0.1 ms for 1 MiB.
pub const MAX_APPLICATION_BYTES: usize = 1 << 19;

const TYPE_SANDBOX: u8 = 1;
const STATE_REVOKED: u8 = 1 << 1;
const HAS_NOT_BEFORE: u8 = 1 << 2;
const HAS_EXPIRES_AT: u8 = 1 << 3;
const HAS_APIS: u8 = 1 << 4;
const HAS_IPS: u8 = 1 << 5;
const HAS_REFERERS: u8 = 1 << 6;
const KNOWN_FLAGS: u8 = (1 << 7) - 1;

/// Appends a key's record.
pub fn put_key(out: &mut Vec<u8>, key: &rows::Key<'_>) {
    let flag = |condition: bool, flag: u8| if condition { flag } else { 0 };
    out.push(
        flag(key.key_type == KeyType::Sandbox, TYPE_SANDBOX)
            | flag(key.state == KeyState::Revoked, STATE_REVOKED)
            | flag(key.not_before.is_some(), HAS_NOT_BEFORE)
            | flag(key.expires_at.is_some(), HAS_EXPIRES_AT)
            | flag(key.apis.is_some(), HAS_APIS)
            | flag(key.permitted_ips.is_some(), HAS_IPS)
            | flag(key.permitted_referers.is_some(), HAS_REFERERS),
    );
    out.put_sized(key.id.as_bytes());
    out.put_sized(key.application.as_bytes());
    [key.not_before, key.expires_at].into_iter().flatten().for_each(|time| out.put_varint(time));
    if let Some(apis) = &key.apis {
        put_list(out, apis, |out, id: &Text<'_>| out.put_sized(id.as_bytes()));
    }
    if let Some(ranges) = &key.permitted_ips {
        put_list(out, ranges, put_range);
    }
    if let Some(patterns) = &key.permitted_referers {
        let mut packed = Vec::new();
        put_list(out, patterns, |out, pattern: &RefererPattern| {
            packed.clear();
            pattern.pack(&mut packed);
            out.put_sized(&packed);
        });
    }
}

/// Reads a key's record.
pub fn read_key(record: &[u8]) -> Result<Key<&[u8]>, Corrupt> {
    let mut reader = Reader::new(record);
    let flags = reader.u8()?;
    if flags & !KNOWN_FLAGS != 0 {
        return Err(Corrupt);
    }
    let has = |flag: u8| flags & flag != 0;
    let (id, application) = (reader.sized()?, reader.sized()?);
    let not_before = if has(HAS_NOT_BEFORE) { Some(reader.varint()?) } else { None };
    let expires_at = if has(HAS_EXPIRES_AT) { Some(reader.varint()?) } else { None };
    let restrictions = if has(HAS_APIS) || has(HAS_IPS) || has(HAS_REFERERS) {
        let apis = if has(HAS_APIS) { Some(read_texts(&mut reader)?) } else { None };
        let permitted_ips = if has(HAS_IPS) { Some(read_ranges(&mut reader)?) } else { None };
        let permitted_referers = if has(HAS_REFERERS) { Some(read_texts(&mut reader)?) } else { None };
        Some(Box::new(Restrictions { apis, permitted_ips, permitted_referers }))
    } else {
        None
    };
    reader.finish()?;
    let key_type = if has(TYPE_SANDBOX) { KeyType::Sandbox } else { KeyType::Production };
    let state = if has(STATE_REVOKED) { KeyState::Revoked } else { KeyState::Active };
    Ok(Key { id, application, key_type, state, not_before, expires_at, restrictions })
}

fn put_list<T>(out: &mut Vec<u8>, list: &[T], mut put: impl FnMut(&mut Vec<u8>, &T)) {
    out.put_varint(u64::try_from(list.len()).unwrap_or(u64::MAX));
    list.iter().for_each(|entry| put(out, entry));
}

fn read_ranges(reader: &mut Reader<'_>) -> Result<Vec<IpNet>, Corrupt> {
    let count = reader.varint()?;
    // No memory is reserved in advance, because a damaged count could ask for any amount.
    (0..count).map(|_| read_range(reader)).collect()
}

fn read_texts(reader: &mut Reader<'_>) -> Result<Texts, Corrupt> {
    let count = reader.varint()?;
    // Each text has at least one byte of length in the record, and two in the list.
    let left = reader.len();
    let mut texts = Texts::with_capacity(left.saturating_add(usize::try_from(count).unwrap_or(left).min(left)));
    for _ in 0..count {
        texts.push(reader.sized()?).ok_or(Corrupt)?;
    }
    Ok(texts)
}

fn put_range(out: &mut Vec<u8>, range: &IpNet) {
    out.push(range.prefix_len());
    match range {
        IpNet::V4(range) => out.put_sized(&range.addr().octets()),
        IpNet::V6(range) => out.put_sized(&range.addr().octets()),
    }
}

fn read_range(reader: &mut Reader<'_>) -> Result<IpNet, Corrupt> {
    let prefix = reader.u8()?;
    let octets = reader.sized()?;
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        Ipv4Net::new(octets.into(), prefix).map(IpNet::V4).map_err(|_| Corrupt)
    } else {
        let octets = <[u8; 16]>::try_from(octets).map_err(|_| Corrupt)?;
        Ipv6Net::new(octets.into(), prefix).map(IpNet::V6).map_err(|_| Corrupt)
    }
}

/// The key of a key's record. It is the digest; the tag is its beginning.
pub fn key_of_key(Digest(digest): &Digest) -> RecordKey<'_> {
    let [a, b, c, d, rest @ ..] = digest;
    RecordKey { tag: u32::from_be_bytes([*a, *b, *c, *d]), rest }
}

/// The digest in the key of a key's record.
pub fn digest(key: RecordKey<'_>) -> Option<Digest> {
    let mut digest = [0; 32];
    let (tag, rest) = digest.split_first_chunk_mut()?;
    *tag = key.tag.to_be_bytes();
    if key.rest.len() != rest.len() {
        return None;
    }
    rest.copy_from_slice(key.rest);
    Some(Digest(digest))
}

/// The key of an application's record: a tag of its id, and the id.
pub fn key_of_application(tags: TagKey, id: &[u8]) -> RecordKey<'_> {
    RecordKey { tag: tags.of(id), rest: id }
}

/// An application's record while it is being changed.
#[derive(Debug, Default, PartialEq)]
pub struct ApplicationRecord<'a> {
    /// The application itself. `None` if only subscriptions of it are known.
    pub application: Option<Application<&'a [u8]>>,
    /// Sorted by API.
    pub subscriptions: Vec<SubscriptionPart<'a>>,
}

const APPLICATION_BLOCKED: u8 = 1;
/// A bit in the state byte of an application or a subscription: a time follows the plan.
const HAS_USED_UP: u8 = 1 << 7;
/// A bit in the state byte of a subscription: times and note of a block follow.
const HAS_BLOCK: u8 = 1 << 6;

impl<'a> From<&'a rows::Application<'_>> for Application<&'a [u8]> {
    fn from(row: &'a rows::Application<'_>) -> Self {
        Self {
            name: row.name.as_ref().map(Text::as_bytes),
            owner: row.owner.as_ref().map(Text::as_bytes),
            state: row.state,
            plan: row.plan.as_ref().map(Text::as_bytes),
            used_up_until: row.used_up_until,
        }
    }
}

impl<'a> Application<&'a [u8]> {
    /// Appends the application to a record.
    pub fn put(&self, out: &mut Vec<u8>) {
        let state = match self.state {
            ApplicationState::Active => 0,
            ApplicationState::Blocked => APPLICATION_BLOCKED,
        };
        put_state(out, state, self.used_up_until);
        out.put_optional_sized(self.name);
        out.put_optional_sized(self.owner);
        put_plan(out, self.plan, self.used_up_until);
    }

    /// Reads the application of a record.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Corrupt> {
        let (state, used_up) = read_state(reader)?;
        let state = match state {
            0 => ApplicationState::Active,
            APPLICATION_BLOCKED => ApplicationState::Blocked,
            _ => return Err(Corrupt),
        };
        let (name, owner) = (reader.optional_sized()?, reader.optional_sized()?);
        let (plan, used_up_until) = read_plan(reader, used_up)?;
        Ok(Self { name, owner, state, plan, used_up_until })
    }
}

impl<'a> ApplicationRecord<'a> {
    /// Reads a whole record.
    pub fn read(record: &'a [u8]) -> Result<Self, Corrupt> {
        let Opened { application, runs, mut parts } = Opened::read(record)?;
        let (mut subscriptions, mut found, all) = (Vec::<SubscriptionPart<'_>>::new(), Vec::new(), parts.len());
        while !parts.is_empty() {
            if !subscriptions.is_empty() && subscriptions.len().is_multiple_of(RUN) {
                found.push(offset(all.saturating_sub(parts.len())));
            }
            let part = SubscriptionPart::read(&mut parts)?;
            if subscriptions.last().is_some_and(|before| before.api >= part.api) {
                return Err(Corrupt);
            }
            subscriptions.push(part);
        }
        if found != runs {
            return Err(Corrupt);
        }
        Ok(Self { application, subscriptions })
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        let (mut parts, mut runs) = (Vec::new(), Vec::new());
        for (number, run) in self.subscriptions.chunks(RUN).enumerate() {
            if number > 0 {
                runs.push(offset(parts.len()));
            }
            run.iter().for_each(|subscription| subscription.put(&mut parts));
        }
        let flag = |condition: bool, flag: u8| if condition { flag } else { 0 };
        out.push(flag(self.application.is_some(), HAS_APPLICATION) | flag(!runs.is_empty(), HAS_RUNS));
        if let Some(application) = &self.application {
            application.put(out);
        }
        if !runs.is_empty() {
            out.put_varint(as_u64(runs.len()));
            out.extend_from_slice(runs.as_flattened());
        }
        out.extend_from_slice(&parts);
    }

    /// Whether the record has neither an application nor subscriptions.
    pub fn is_empty(&self) -> bool {
        self.application.is_none() && self.subscriptions.is_empty()
    }
}

/// Marks a record that has no room for all subscriptions of its application. No other subscription can be in this
/// place, because no API has an empty id. A subscription that is missing in such a record may have been left out, and
/// it may have been blocked. So it is not allowed, even if the API requires no subscription.
pub const NO_ROOM: SubscriptionPart<'static> =
    SubscriptionPart { api: b"", state: SubscriptionState::LeftOut, plan: None, used_up_until: None, block: None };

/// An application and one of its subscriptions, each if the record has it.
pub type Matched<'a> = (Option<Application<&'a [u8]>>, Option<Subscription<&'a [u8]>>);

/// The data for a request with an uncached key: the application, and its subscription to one API.
pub fn find_subscription<'a>(record: &'a [u8], wanted: &[u8]) -> Result<Matched<'a>, Corrupt> {
    let Opened { application, runs, parts } = Opened::read(record)?;
    let behind = |run: &Offset| {
        let mut reader = Reader::new(parts.rest());
        reader.next_bytes(place(*run)).and_then(|_| reader.sized()).is_ok_and(|first| first <= wanted)
    };
    // The runs before this number begin at or before the wanted API.
    let run = runs.partition_point(behind);
    let begin = run.checked_sub(1).and_then(|run| runs.get(run)).map_or(0, |run| place(*run));
    let end = runs.get(run).map_or(parts.len(), |run| place(*run));
    let mut reader = Reader::new(parts.rest().get(begin..end).ok_or(Corrupt)?);
    while !reader.is_empty() {
        let SubscriptionPart { api, state, plan, used_up_until, block } = SubscriptionPart::read(&mut reader)?;
        if equal(api, wanted) {
            return Ok((application, Some(Subscription { state, plan, used_up_until, block })));
        }
    }
    let mut first = parts;
    let is_whole = first.is_empty() || SubscriptionPart::read(&mut first)?.api != NO_ROOM.api;
    let left_out = Subscription { state: NO_ROOM.state, ..Subscription::default() };
    Ok((application, (!is_whole).then_some(left_out)))
}

/// Subscriptions of one run. A longer record says where each run except the first begins, so that a request searches
/// only one run: searching 30,000 subscriptions would take 0.5 ms.
const RUN: usize = 64;
const HAS_APPLICATION: u8 = 1;
const HAS_RUNS: u8 = 1 << 1;

/// Beginning of a run, in bytes from the first subscription.
type Offset = [u8; 4];

fn offset(place: usize) -> Offset {
    u32::try_from(place).unwrap_or(u32::MAX).to_le_bytes()
}

fn place(offset: Offset) -> usize {
    usize::try_from(u32::from_le_bytes(offset)).unwrap_or(usize::MAX)
}

/// A record up to its subscriptions, which are not read yet.
struct Opened<'a> {
    application: Option<Application<&'a [u8]>>,
    runs: &'a [Offset],
    parts: Reader<'a>,
}

impl<'a> Opened<'a> {
    fn read(record: &'a [u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(record);
        let flags = reader.u8()?;
        if flags & !(HAS_APPLICATION | HAS_RUNS) != 0 {
            return Err(Corrupt);
        }
        let application = if flags & HAS_APPLICATION == 0 { None } else { Some(Application::read(&mut reader)?) };
        let mut runs = &[][..];
        if flags & HAS_RUNS != 0 {
            let count = usize::try_from(reader.varint()?).map_err(|_| Corrupt)?;
            (runs, _) = reader.next_bytes(count.checked_mul(size_of::<Offset>()).ok_or(Corrupt)?)?.as_chunks();
        }
        Ok(Self { application, runs, parts: reader })
    }
}

/// A subscription in its application's record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubscriptionPart<'a> {
    pub api: &'a [u8],
    pub state: SubscriptionState,
    pub plan: Option<&'a [u8]>,
    /// First second in which the plan is no longer used up, Unix time.
    pub used_up_until: Option<u64>,
    /// Times and note of a block.
    pub block: Option<Block<&'a [u8]>>,
}

impl<'a> From<&'a rows::Subscription<'_>> for SubscriptionPart<'a> {
    fn from(row: &'a rows::Subscription<'_>) -> Self {
        Self {
            api: row.api.as_bytes(),
            state: row.state,
            plan: row.plan.as_ref().map(Text::as_bytes),
            used_up_until: row.used_up_until,
            block: row.block.as_ref().map(|block| block.as_ref().map(Text::as_bytes)),
        }
    }
}

impl<'a> SubscriptionPart<'a> {
    pub fn put(&self, out: &mut Vec<u8>) {
        out.put_sized(self.api);
        let has_block = if self.block.is_some() { HAS_BLOCK } else { 0 };
        put_state(out, number_of(self.state) | has_block, self.used_up_until);
        put_plan(out, self.plan, self.used_up_until);
        if let Some(block) = &self.block {
            out.push(number_of(block.planned));
            out.put_optional_varint(block.from);
            out.put_optional_varint(block.until);
            out.put_optional_sized(block.note);
        }
    }

    pub fn read(reader: &mut Reader<'a>) -> Result<Self, Corrupt> {
        let api = reader.sized()?;
        let (state, used_up) = read_state(reader)?;
        let has_block = state & HAS_BLOCK != 0;
        let state = state_of(state & !HAS_BLOCK)?;
        let (plan, used_up_until) = read_plan(reader, used_up)?;
        let block = if has_block { Some(read_block(reader)?) } else { None };
        Ok(Self { api, state, plan, used_up_until, block })
    }
}

#[inline(never)]
fn read_block<'a>(reader: &mut Reader<'a>) -> Result<Block<&'a [u8]>, Corrupt> {
    Ok(Block {
        planned: state_of(reader.u8()?)?,
        from: reader.optional_varint()?,
        until: reader.optional_varint()?,
        note: reader.optional_sized()?,
    })
}

/// The states in the order of their numbers in records.
const STATES: [SubscriptionState; 9] = [
    SubscriptionState::Unblocked,
    SubscriptionState::TierUpdatePending,
    SubscriptionState::DeletePending,
    SubscriptionState::Blocked,
    SubscriptionState::ProdOnlyBlocked,
    SubscriptionState::OnHold,
    SubscriptionState::Rejected,
    SubscriptionState::Unknown,
    SubscriptionState::LeftOut,
];

fn number_of(state: SubscriptionState) -> u8 {
    match state {
        SubscriptionState::Unblocked => 0,
        SubscriptionState::TierUpdatePending => 1,
        SubscriptionState::DeletePending => 2,
        SubscriptionState::Blocked => 3,
        SubscriptionState::ProdOnlyBlocked => 4,
        SubscriptionState::OnHold => 5,
        SubscriptionState::Rejected => 6,
        SubscriptionState::Unknown => 7,
        SubscriptionState::LeftOut => 8,
    }
}

fn state_of(number: u8) -> Result<SubscriptionState, Corrupt> {
    STATES.get(usize::from(number)).copied().ok_or(Corrupt)
}

fn put_state(out: &mut Vec<u8>, state: u8, used_up_until: Option<u64>) {
    out.push(state | if used_up_until.is_some() { HAS_USED_UP } else { 0 });
}

fn read_state(reader: &mut Reader<'_>) -> Result<(u8, bool), Corrupt> {
    let byte = reader.u8()?;
    Ok((byte & !HAS_USED_UP, byte & HAS_USED_UP != 0))
}

fn put_plan(out: &mut Vec<u8>, plan: Option<&[u8]>, used_up_until: Option<u64>) {
    out.put_optional_sized(plan);
    used_up_until.into_iter().for_each(|time| out.put_varint(time));
}

fn read_plan<'a>(reader: &mut Reader<'a>, used_up: bool) -> Result<(Option<&'a [u8]>, Option<u64>), Corrupt> {
    let plan = reader.optional_sized()?;
    Ok((plan, if used_up { Some(reader.varint()?) } else { None }))
}
