//! Replaces the crate `rocksdb` when the end-to-end tests are compiled. The tests use the Redis storage of `limitador`
//! 0.14, which compiles only together with the storage on disk: without the feature `disk_storage` its `redis_storage`
//! does not compile. That feature needs RocksDB, which is minutes of C++ that no test calls.
//!
//! So this crate has only the part of the interface that `limitador` names, and no database. A database cannot be
//! opened, so its type has no value and its methods need no body. This crate can be removed when `limitador` compiles
//! without RocksDB.

use std::{convert::Infallible, error, fmt, marker::PhantomData, path::Path};

pub type Entry = (Box<[u8]>, Box<[u8]>);

/// The database that `limitador` opens.
pub type DB = DBWithThreadMode<MultiThreaded>;

/// A database. No value of it exists.
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

/// The position at which an iterator begins.
pub enum IteratorMode {
    Start,
}

/// The options of a database. They are ignored.
#[derive(Default)]
pub struct Options;

impl Options {
    /// Ignored.
    pub fn create_if_missing(&mut self, _create: bool) {}

    /// Ignored.
    pub fn set_compression_type(&mut self, _compression: DBCompressionType) {}

    /// Ignored.
    pub fn set_compaction_filter<F>(&mut self, _name: &str, _filter: F)
    where
        F: FnMut(u32, &[u8], &[u8]) -> CompactionDecision,
    {
    }

    /// Ignored.
    pub fn set_merge_operator_associative<F>(&mut self, _name: &str, _merge: F)
    where
        F: Fn(&[u8], Option<&[u8]>, &MergeOperands) -> Option<Vec<u8>>,
    {
    }
}

/// The compression of data.
pub enum DBCompressionType {
    None,
    Bz2,
}

/// The result of a compaction for a value.
pub enum CompactionDecision {
    Keep,
    Remove,
}

/// The operands of a merge.
pub struct MergeOperands(Infallible);

impl<'a> IntoIterator for &'a MergeOperands {
    type Item = &'a [u8];
    type IntoIter = std::iter::Empty<&'a [u8]>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {}
    }
}

/// No database can be opened.
#[derive(Debug)]
pub struct Error;

impl Error {
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

#[derive(Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The only kind that occurs.
    NotSupported,
    /// Does not occur.
    TimedOut,
    /// Does not occur.
    TryAgain,
}
