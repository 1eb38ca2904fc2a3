//! The service's own TLS: a certificate and its key, read again when their files change.
//!
//! The service reads the files once a second and compares their contents, not their times, because a mounted secret is
//! a link that is moved. It uses a new pair after two equal reads, because the two files of a pair are replaced one
//! after the other. An unusable pair changes nothing: the previous pair stays in use, and the log says so once.
//! Handshakes have no limit of their own. They count as a connection's first request ([`idle`](super::idle)).

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use crate::metrics::Metrics;
use sha2::{Digest as _, Sha256};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, InconsistentKeys, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
};
use x509_parser::parse_x509_certificate;

/// Maximum length of one file, in bytes: a chain of ten certificates of 6 KiB in PEM, which is more than any client
/// accepts.
const MAX_PEM_BYTES: u64 = 64 << 10;
/// Pause between two reads of the files.
const LOOK: Duration = Duration::from_secs(1);
/// The protocols over TLS, in order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The paths of certificate and key.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate and its chain, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Why a certificate and its key are rejected. The message contains nothing of the key.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// A file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// The file is too long for a certificate or a key.
    #[error("{0} has more than {MAX_PEM_BYTES} bytes")]
    TooLarge(PathBuf),
    /// The file contains no certificate.
    #[error("{0} has no certificate in PEM")]
    NoCertificate(PathBuf),
    /// The file contains no private key.
    #[error("{0} has no private key in PEM, or one with a passphrase")]
    NoKey(PathBuf),
    /// The key belongs to another certificate.
    #[error("the certificate of {0} and the key of {1} do not belong together")]
    Apart(PathBuf, PathBuf),
    /// rustls cannot use the pair.
    #[error("the certificate of {0} with the key of {1} cannot be used: {2}")]
    Unusable(PathBuf, PathBuf, rustls::Error),
}

/// The content of both files.
struct Pair {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pair {
    fn read(files: &Files) -> Result<Self, Invalid> {
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)? })
    }

    /// A digest of both files, to notice changes.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(Sha256::digest(&self.certificate));
        digest.update(Sha256::digest(&self.key));
        digest.finalize().into()
    }

    fn usable(&self, files: &Files) -> Result<Usable, Invalid> {
        let both = || (files.certificate.clone(), files.key.clone());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or_else(|| Invalid::NoCertificate(files.certificate.clone()))?;
        let ends_at = ends_at(&chain);
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| Invalid::NoKey(files.key.clone()))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let made = builder
            .with_protocol_versions(&[&TLS13, &TLS12])
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut made = made.map_err(|error| match (error, both()) {
            (rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch), (certificate, key)) => {
                Invalid::Apart(certificate, key)
            }
            (error, (certificate, key)) => Invalid::Unusable(certificate, key, error),
        })?;
        made.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Usable { configuration: Arc::new(made), ends_at })
    }
}

/// When the first certificate of the chain ends, in Unix seconds. Clients reject the chain from then on. 0 if no end can
/// be read.
fn ends_at(chain: &[CertificateDer<'_>]) -> i64 {
    let ends = chain.iter().filter_map(|certificate| parse_x509_certificate(certificate).ok());
    ends.map(|(_, certificate)| certificate.validity().not_after.timestamp()).min().unwrap_or(0)
}

/// A pair that rustls accepts.
#[derive(Debug)]
struct Usable {
    configuration: Arc<ServerConfig>,
    ends_at: i64,
}

fn read(path: &Path) -> Result<Vec<u8>, Invalid> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_PEM_BYTES.saturating_add(1)).read_to_end(&mut bytes));
    match read {
        Ok(count) if u64::try_from(count).unwrap_or(u64::MAX) > MAX_PEM_BYTES => Err(Invalid::TooLarge(path.into())),
        Ok(_) => Ok(bytes),
        Err(error) => Err(Invalid::Unreadable(path.into(), error)),
    }
}

/// The pair for new connections. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Files,
    current: Arc<RwLock<Usable>>,
    /// The digest of the first pair.
    first: [u8; 32],
}

impl Tls {
    /// Reads the pair.
    pub fn open(files: Files) -> Result<Self, Invalid> {
        let pair = Pair::read(&files)?;
        let current = pair.usable(&files)?;
        Ok(Self { files, current: Arc::new(RwLock::new(current)), first: pair.digest() })
    }

    /// Accepts the handshake of one new connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        // The lock cannot be poisoned halfway: a write is one assignment.
        TlsAcceptor::from(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).configuration))
    }

    /// When the certificate in use ends, in Unix seconds.
    fn ends_at(&self) -> i64 {
        self.current.read().unwrap_or_else(PoisonError::into_inner).ends_at
    }

    /// Uses each new pair of the files, for ever, and tells `metrics` when the certificate in use ends.
    pub async fn watch(self, metrics: Metrics) {
        metrics.set_certificate_end(self.ends_at());
        let mut looks = Looks { known: self.first, seen: self.first, was_unreadable: false };
        loop {
            tokio::time::sleep(LOOK).await;
            let files = self.files.clone();
            // A file on a network may take long to read.
            let Ok(read) = tokio::task::spawn_blocking(move || Pair::read(&files)).await else { continue };
            match looks.judge(read) {
                Some(Ok(pair)) => match pair.usable(&self.files) {
                    Ok(made) => {
                        metrics.set_certificate_end(made.ends_at);
                        *self.current.write().unwrap_or_else(PoisonError::into_inner) = made;
                        tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is used");
                    }
                    Err(error) => refused(&error),
                },
                Some(Err(error)) => refused(&error),
                None => {}
            }
        }
    }
}

fn refused(error: &Invalid) {
    tracing::error!(%error, "a new certificate is refused; the one before is used on");
}

/// The results of earlier reads.
struct Looks {
    /// The pair that was judged last, valid or not.
    known: [u8; 32],
    /// The pair of the last read.
    seen: [u8; 32],
    was_unreadable: bool,
}

impl Looks {
    /// Returns a result that needs an action: a new pair that was equal in two reads, or an error that does not repeat
    /// the previous one.
    fn judge(&mut self, read: Result<Pair, Invalid>) -> Option<Result<Pair, Invalid>> {
        let pair = match read {
            Ok(pair) => pair,
            Err(error) => return (!std::mem::replace(&mut self.was_unreadable, true)).then_some(Err(error)),
        };
        self.was_unreadable = false;
        let digest = pair.digest();
        let is_steady = std::mem::replace(&mut self.seen, digest) == digest;
        if !is_steady || digest == self.known {
            return None;
        }
        self.known = digest;
        Some(Ok(pair))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_judged_once_and_when_it_has_come_to_rest() {
        let pair = |word: u8| Ok(Pair { certificate: vec![word], key: vec![word] });
        let gone = || Err(Invalid::TooLarge(PathBuf::new()));
        let known = Pair { certificate: vec![0], key: vec![0] }.digest();
        let mut looks = Looks { known, seen: known, was_unreadable: false };
        for (step, (read, judged)) in [
            (pair(0), None),
            (pair(1), None),
            (pair(2), None),
            (pair(2), Some(true)),
            (pair(2), None),
            (gone(), Some(false)),
            (gone(), None),
            (pair(2), None),
            (gone(), Some(false)),
            (pair(0), None),
            (pair(0), Some(true)),
            (pair(0), None),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(looks.judge(read).map(|judged| judged.is_ok()), judged, "step {step}");
        }
    }
}
