//! What others say of our certificates: openssl verifies and prints them, and makes authorities of every kind for us.
//! Where there is no openssl these say so and check nothing; the same facts are checked in Rust beside.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;

/// Runs openssl in this directory; `None` where there is none.
fn openssl(directory: &Path, arguments: &str) -> Option<String> {
    let run = Command::new("openssl").current_dir(directory).args(arguments.split(' ')).output();
    let Ok(output) = run else {
        eprintln!("SKIPPED: there is no openssl to check certificates with");
        return None;
    };
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn openssl_verifies_a_chain_and_reads_the_same_as_we_do() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let hierarchy = Hierarchy::new();
    let authority =
        Authority::new(KeyCertBundle::from_pem(&hierarchy.files(), now()).unwrap(), SigningPolicy::default());
    let signed = authority.sign(&greedy_request(&KeyPair::generate().unwrap()), &identity(), None, now()).unwrap();
    fs::write(directory.join("leaf.pem"), &signed.chain[0]).unwrap();
    fs::write(directory.join("between.pem"), signed.chain[1..3].concat()).unwrap();
    fs::write(directory.join("root.pem"), &signed.chain[3]).unwrap();
    for purpose in ["sslclient", "sslserver"] {
        let verify = format!("verify -x509_strict -purpose {purpose} -CAfile root.pem -untrusted between.pem leaf.pem");
        let Some(verified) = openssl(directory, &verify) else { return };
        assert_eq!(verified.trim(), "leaf.pem: OK");
    }
    let Some(serial) = openssl(directory, "x509 -in leaf.pem -noout -serial") else { return };
    assert_eq!(serial.trim(), format!("serial={}", signed.serial));
    let Some(text) = openssl(directory, "x509 -in leaf.pem -noout -text") else { return };
    assert!(text.contains("X509v3 Subject Alternative Name: critical\n"), "{text}");
    assert!(text.contains("URI:spiffe://cluster.local/ns/shop/sa/web\n"), "{text}");
    assert!(text.contains("CA:FALSE"), "{text}");
    assert!(text.contains("TLS Web Server Authentication, TLS Web Client Authentication"), "{text}");
    assert!(!text.contains("admin") && !text.contains("kubernetes") && !text.contains("1.2.3.4.5"), "{text}");
}

#[test]
fn authorities_that_openssl_makes_can_be_plugged_in() {
    let keys = [
        ("RSA, PKCS#1", "genrsa -traditional -out key.pem 2048"),
        ("RSA, PKCS#8", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out key.pem"),
        ("P-256, SEC 1", "ecparam -name prime256v1 -genkey -noout -out key.pem"),
        ("P-384, PKCS#8", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key.pem"),
        ("Ed25519", "genpkey -algorithm ED25519 -out key.pem"),
    ];
    for (kind, make_key) in keys {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        if openssl(directory, make_key).is_none() {
            return;
        }
        openssl(
            directory,
            "req -x509 -new -key key.pem -subj /O=Shop/CN=Root -days 30 -addext keyUsage=critical,keyCertSign -out cert.pem",
        );
        let read = |name: &str| fs::read(directory.join(name)).unwrap();
        let files = CaFiles { ca_cert: read("cert.pem"), ca_key: read("key.pem"), ..CaFiles::default() };
        let bundle = KeyCertBundle::from_pem(&files, now() + Duration::from_secs(2));
        let authority =
            Authority::new(bundle.unwrap_or_else(|error| panic!("{kind}: {error}")), SigningPolicy::default());
        let csr = request(&KeyPair::generate().unwrap());
        let signed = authority.sign(&csr, &identity(), None, now()).unwrap();
        fs::write(directory.join("leaf.pem"), &signed.chain[0]).unwrap();
        let verified = openssl(directory, "verify -x509_strict -CAfile cert.pem leaf.pem").unwrap();
        assert_eq!(verified.trim(), "leaf.pem: OK", "{kind}");
    }
}

#[test]
fn a_subject_that_cannot_be_written_again_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let make =
        "req -x509 -newkey ed25519 -nodes -keyout key.pem -subj /DC=com/DC=example/CN=Root -days 30 -out cert.pem";
    if openssl(directory, make).is_none() {
        return;
    }
    let read = |name: &str| fs::read(directory.join(name)).unwrap();
    let files = CaFiles { ca_cert: read("cert.pem"), ca_key: read("key.pem"), ..CaFiles::default() };
    let error = KeyCertBundle::from_pem(&files, now() + Duration::from_secs(2)).unwrap_err();
    assert!(matches!(error, crate::ca::BundleError::Subject), "{error}");
}
