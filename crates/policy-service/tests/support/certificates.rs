//! Certificates for tests: a root of their own, and pairs that it signs.

use std::{fs, path::Path, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, ClientBuilder};

/// A root.
pub struct Root(CertifiedIssuer<'static, KeyPair>);

impl Root {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    /// The root itself, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A client that trusts only this root.
    pub fn client(&self) -> ClientBuilder {
        self.trusted_by(Client::builder().no_proxy().timeout(Duration::from_secs(20)))
    }

    /// Makes a client trust this root as well.
    pub fn trusted_by(&self, client: ClientBuilder) -> ClientBuilder {
        client.add_root_certificate(Certificate::from_pem(self.0.pem().as_bytes()).unwrap())
    }

    /// A new pair for 127.0.0.1 and localhost, in PEM: certificate and key.
    pub fn pair(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Writes a new pair to `tls.crt` and `tls.key`, one after the other, as an operator does.
    pub fn write_pair(&self, directory: &Path) {
        let (certificate, key) = self.pair();
        fs::write(directory.join("tls.crt"), certificate).unwrap();
        fs::write(directory.join("tls.key"), key).unwrap();
    }
}
