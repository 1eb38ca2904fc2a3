//! Stands in the place of the crate `rocksdb` while the end-to-end tests are compiled. `limitador` 0.14 has the storage they
//! want, Redis, only together with the one on disk: without the feature `disk_storage` its `redis_storage` does not compile,
//! and with it comes RocksDB, which is minutes of C++ that no test calls.
//!
//! So here is as much of its interface as `limitador` names, and no database: none can be opened, so there is no value of its
//! type, and what one would do with it needs no body. It goes when `limitador` compiles without.

use std::{convert::Infallible, error, fmt, marker::PhantomData, path::Path};

/// A key and its value.
pub type Entry = (Box<[u8]>, Box<[u8]>);

/// The database that `limitador` opens.
pub type DB = DBWithThreadMode<MultiThreaded>;

/// A database. There is none.
pub struct DBWithThreadMode<Mode> {
    none: Infallible,
    _mode: PhantomData<Mode>,
}

/// The mode of [`DB`].
pub struct MultiThreaded;

impl<Mode> DBWithThreadMode<Mode> {
    /// Always an error.
    pub fn open<P: AsRef<Path>>(_options: &Options, _path: P) -> Result<Self, Error> {
        Err(Error)
    }

    /// Never called.
    pub fn get<K: AsRef<[u8]>>(&self, _key: K) -> Result<Option<Vec<u8>>, Error> {
        match self.none {}
    }

    /// Never called.
    pub fn delete<K: AsRef<[u8]>>(&self, _key: K) -> Result<(), Error> {
        match self.none {}
    }

    /// Never called.
    pub fn merge<K: AsRef<[u8]>, V: AsRef<[u8]>>(&self, _key: K, _value: V) -> Result<(), Error> {
        match self.none {}
    }

    /// Never called.
    pub fn iterator(&self, _mode: IteratorMode) -> std::iter::Empty<Result<Entry, Error>> {
        match self.none {}
    }

    /// Never called.
    pub fn prefix_iterator<P: AsRef<[u8]>>(&self, _prefix: P) -> std::iter::Empty<Result<Entry, Error>> {
        match self.none {}
    }
}

/// Where an iterator begins.
pub enum IteratorMode {
    /// With the first key.
    Start,
}

/// How a database would be opened: all of it is forgotten.
#[derive(Default)]
pub struct Options;

impl Options {
    /// Forgotten.
    pub fn create_if_missing(&mut self, _create: bool) {}

    /// Forgotten.
    pub fn set_compression_type(&mut self, _compression: DBCompressionType) {}

    /// Forgotten.
    pub fn set_compaction_filter<F>(&mut self, _name: &str, _filter: F)
    where
        F: FnMut(u32, &[u8], &[u8]) -> CompactionDecision,
    {
    }

    /// Forgotten.
    pub fn set_merge_operator_associative<F>(&mut self, _name: &str, _merge: F)
    where
        F: Fn(&[u8], Option<&[u8]>, &MergeOperands) -> Option<Vec<u8>>,
    {
    }
}

/// How data would be compressed.
pub enum DBCompressionType {
    /// Not at all.
    None,
    /// With bzip2.
    Bz2,
}

/// What a compaction would do with a value.
pub enum CompactionDecision {
    /// Keep it.
    Keep,
    /// Remove it.
    Remove,
}

/// What would be merged into a value.
pub struct MergeOperands(Infallible);

impl<'a> IntoIterator for &'a MergeOperands {
    type Item = &'a [u8];
    type IntoIter = std::iter::Empty<&'a [u8]>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {}
    }
}

/// That there is no database here.
#[derive(Debug)]
pub struct Error;

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::NotSupported
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this RocksDB opens no database")
    }
}

impl error::Error for Error {}

/// Kinds of errors.
#[derive(Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The one kind there is here.
    NotSupported,
    /// Never.
    TimedOut,
    /// Never.
    TryAgain,
}
