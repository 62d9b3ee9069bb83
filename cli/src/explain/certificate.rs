//! What can be told of a certificate without any key: names and end. Reads certificate files, never key files.

use controller::Step;
use ir::{CertificateSource, Resource};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::answer::Certificate;

/// Describes a certificate that a chain names.
pub(crate) fn describe(source: &CertificateSource, step: &Step, host: &str, now: OffsetDateTime) -> Certificate {
    let (shown, pem) = match source {
        CertificateSource::Secret(name) => (name.to_string(), secret(step, name.as_str())),
        CertificateSource::Files { certificate, private_key: _ } => {
            let pem = std::fs::read(certificate).map_err(|error| format!("cannot be read: {error}"));
            (certificate.display().to_string(), pem)
        }
    };
    let mut described = Certificate { source: shown, names: Vec::new(), not_after: None, problem: None };
    match pem {
        Ok(pem) => read(&pem, host, now, &mut described),
        Err(problem) => described.problem = Some(problem),
    }
    described
}

fn secret(step: &Step, name: &str) -> Result<Vec<u8>, String> {
    let encoded = step.delta.changed.iter().find(|it| it.key.kind == ir::Kind::Secret && &*it.key.name == name);
    let Some(encoded) = encoded else {
        return Err("there is no such Secret here; without it handshakes are closed".to_owned());
    };
    match ir::codec::decode(encoded) {
        Ok(Resource::Secret(secret)) => Ok(secret.certificate_chain.into_bytes()),
        Ok(_) | Err(_) => Err("cannot be read".to_owned()),
    }
}

fn read(pem: &[u8], host: &str, now: OffsetDateTime, described: &mut Certificate) {
    let parsed = x509_parser::pem::parse_x509_pem(pem).ok();
    let leaf = parsed.as_ref().and_then(|(_, pem)| X509Certificate::from_der(&pem.contents).ok());
    let Some((_, leaf)) = leaf else {
        described.problem = Some("is no certificate in PEM".to_owned());
        return;
    };
    if let Ok(Some(names)) = leaf.subject_alternative_name() {
        described.names = names.value.general_names.iter().filter_map(name).collect();
    }
    let (from, until) = (leaf.validity().not_before.to_datetime(), leaf.validity().not_after.to_datetime());
    described.not_after = Some(until.date().to_string());
    described.problem = if until < now {
        Some(format!("expired on {}", until.date()))
    } else if from > now {
        Some(format!("is not valid before {}", from.date()))
    } else if described.names.iter().any(|name| covers(name, host)) {
        None
    } else {
        Some(format!("does not vouch for {host}"))
    };
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match **bytes {
            [a, b, c, d] => Some(std::net::Ipv4Addr::new(a, b, c, d).to_string()),
            _ => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
        },
        _ => None,
    }
}

/// As clients compare: a wildcard stands for one label.
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent)),
        None => name.eq_ignore_ascii_case(host.trim_matches(['[', ']'])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::Certificates;

    fn read_at(names: &[&str], host: &str, after_days: i64) -> Certificate {
        let now = OffsetDateTime::now_utc();
        let made = Certificates::make(names, now).unwrap();
        let mut described = Certificate { source: String::new(), names: Vec::new(), not_after: None, problem: None };
        read(made.chain.as_bytes(), host, now + time::Duration::days(after_days), &mut described);
        described
    }

    #[test]
    fn names_and_end_are_told_and_compared() {
        let good = read_at(&["shop.test", "*.web.test", "127.0.0.1"], "a.web.test", 0);
        assert_eq!((good.names.len(), &good.problem), (3, &None));
        assert_eq!(read_at(&["127.0.0.1"], "127.0.0.1", 0).problem, None);
        assert_eq!(read_at(&["*.web.test"], "b.a.web.test", 0).problem.unwrap(), "does not vouch for b.a.web.test");
        assert!(read_at(&["shop.test"], "shop.test", 40).problem.unwrap().starts_with("expired on"));
        assert!(read_at(&["shop.test"], "shop.test", -2).problem.unwrap().starts_with("is not valid before"));
        let mut none = good.clone();
        read(b"nonsense", "x", OffsetDateTime::now_utc(), &mut none);
        assert_eq!(none.problem.unwrap(), "is no certificate in PEM");
    }
}
