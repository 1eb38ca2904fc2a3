//! Metrics: values by name for the whole process, ids by VM.

use std::collections::BTreeMap;

use super::status::Status;

const KIND_BITS: u32 = 2;
const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;

/// The values of one metric.
#[derive(Clone, Debug, Default)]
pub struct Metric {
    kind: u32,
    value: i64,
    observations: Vec<u64>,
}

#[derive(Default)]
pub struct Metrics {
    by_name: BTreeMap<Vec<u8>, Metric>,
}

/// Ids that one VM has defined. Each definition gives a new id, even for the same name.
#[derive(Default)]
pub struct MetricIds {
    names: Vec<(u32, Vec<u8>)>,
}

impl MetricIds {
    /// For each name, how often it was defined.
    pub fn definitions(&self) -> BTreeMap<&[u8], usize> {
        let mut count = BTreeMap::new();
        self.names.iter().for_each(|(_, name)| *count.entry(name.as_slice()).or_default() += 1);
        count
    }

    fn name(&self, id: u32) -> Result<&Vec<u8>, Status> {
        self.names.iter().find(|(known, _)| *known == id).map(|(_, name)| name).ok_or(Status::NotFound)
    }
}

impl Metrics {
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.by_name.keys().map(Vec::as_slice)
    }

    /// Value of a counter or gauge. 0 if it was never defined.
    pub fn value(&self, name: &str) -> i64 {
        self.by_name.get(name.as_bytes()).map_or(0, |metric| metric.value)
    }

    /// The values of a histogram.
    pub fn observations(&self, name: &str) -> Vec<u64> {
        self.by_name.get(name.as_bytes()).map(|metric| metric.observations.clone()).unwrap_or_default()
    }

    pub fn define(&mut self, ids: &mut MetricIds, kind: u32, name: &[u8]) -> Result<u32, Status> {
        if kind > HISTOGRAM {
            return Err(Status::BadArgument);
        }
        self.by_name.entry(name.to_vec()).or_insert(Metric { kind, ..Metric::default() });
        let id = (ids.names.len() as u32 + 1) << KIND_BITS | kind;
        ids.names.push((id, name.to_vec()));
        Ok(id)
    }

    pub fn increment(&mut self, ids: &MetricIds, id: u32, offset: i64) -> Result<(), Status> {
        let metric = self.by_name.get_mut(ids.name(id)?).ok_or(Status::NotFound)?;
        match metric.kind {
            COUNTER if offset <= 0 => return Err(Status::BadArgument),
            COUNTER | GAUGE => metric.value += offset,
            _ => return Err(Status::BadArgument),
        }
        Ok(())
    }

    pub fn record(&mut self, ids: &MetricIds, id: u32, value: u64) -> Result<(), Status> {
        let metric = self.by_name.get_mut(ids.name(id)?).ok_or(Status::NotFound)?;
        match metric.kind {
            COUNTER => metric.value += value as i64,
            GAUGE => metric.value = value as i64,
            _ => metric.observations.push(value),
        }
        Ok(())
    }

    pub fn get(&self, ids: &MetricIds, id: u32) -> Result<u64, Status> {
        let metric = self.by_name.get(ids.name(id)?).ok_or(Status::NotFound)?;
        if metric.kind == HISTOGRAM { Err(Status::BadArgument) } else { Ok(metric.value as u64) }
    }
}
