//! When certificates hold, and what a clock has to do with one that does not.
//!
//! Knows both times and how to say them. Refuses to read a clock: now is an argument.

use std::{error::Error, fmt, sync::Arc};

use jiff::Timestamp;
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::trust;

/// From when until when something holds, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: i64,
    /// Not after.
    pub until: i64,
}

impl Validity {
    fn holds_at(self, now: i64) -> bool {
        (self.from..=self.until).contains(&now)
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "valid from {} to {}", time(self.from), time(self.until))
    }
}

/// For people: RFC 3339.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| "an unknown time".to_owned(), |t| t.to_string())
}

/// The control plane's certificate does not hold by this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfDate {
    /// What this machine's clock says, in seconds since 1970.
    pub now: i64,
    /// When the certificate holds.
    pub certificate: Validity,
}

impl fmt::Display for OutOfDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, certificate } = self;
        let which = if *now < certificate.from { "behind" } else { "ahead" };
        write!(
            f,
            "this machine's clock says {}, and the control plane's certificate is {certificate}: \
             the clock here is {which}, or that of the control plane was wrong when it made the \
             certificate; set the clock (NTP keeps it right)",
            time(*now)
        )
    }
}

impl Error for OutOfDate {}

impl OutOfDate {
    /// The one among the causes of an error.
    pub fn in_causes(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(cause) = next {
            if let Some(io) = cause.downcast_ref::<std::io::Error>()
                && let Some(inner) = io.get_ref()
                && let Some(found) = Self::in_causes(inner)
            {
                return Some(found);
            }
            if let Some(rustls::Error::Other(OtherError(inner))) = cause.downcast_ref()
                && let Some(found) = inner.downcast_ref::<Self>()
            {
                return Some(*found);
            }
            next = cause.source();
        }
        None
    }
}

/// What it means that the control plane refused this node's certificate as one that does not hold,
/// in words for the person who runs this node; `rejoin` says how to get another.
pub fn refused(own: Validity, now: i64, rejoin: &str) -> String {
    let clock = format!("this machine's clock says {}", time(now));
    if own.holds_at(now) {
        return format!(
            "the control plane says that this node's certificate has ended or is not valid yet; \
             {clock}, and the certificate is {own}: one of the two machines' clocks is wrong; \
             compare them and set it (NTP keeps it right)"
        );
    }
    if now < own.from {
        return format!("{clock}, and this node's certificate is {own}: set the clock");
    }
    format!(
        "this node's certificate was {own}, and {clock}: set the clock, if it is ahead; if it is \
         right, {rejoin}"
    )
}

/// Verifies as the other one does, and says which times do not fit together where that is why a
/// certificate is refused.
#[derive(Debug)]
pub struct Dated(pub Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for Dated {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verdict.map_err(|error| match error {
            rustls::Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => out_of_date(end_entity, intermediates, now).unwrap_or(error),
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn out_of_date(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Option<rustls::Error> {
    let now = i64::try_from(now.as_secs()).ok()?;
    let all = [end_entity].into_iter().chain(intermediates);
    let certificate =
        all.filter_map(|one| trust::validity(one).ok()).find(|one| !one.holds_at(now))?;
    Some(rustls::Error::Other(OtherError(Arc::new(OutOfDate { now, certificate }))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAY: Validity = Validity { from: 1_777_593_600, until: 1_780_272_000 };

    #[test]
    fn both_times_are_said_and_whose_clock_it_can_be() {
        let behind = OutOfDate { now: MAY.from - 7200, certificate: MAY }.to_string();
        assert!(
            behind.starts_with("this machine's clock says 2026-04-30T22:00:00Z, and"),
            "{behind}"
        );
        assert!(behind.contains("valid from 2026-05-01T00:00:00Z to 2026-06-01T00:00:00Z"));
        assert!(behind.contains("the clock here is behind"), "{behind}");
        let ahead = OutOfDate { now: MAY.until + 1, certificate: MAY }.to_string();
        assert!(ahead.contains("the clock here is ahead"), "{ahead}");
    }

    #[test]
    fn a_refused_certificate_is_told_by_this_machines_clock() {
        let said = |now| refused(MAY, now, "join again");
        let both = said(MAY.from + 60);
        assert!(both.contains("one of the two machines' clocks is wrong"), "{both}");
        assert!(!both.contains("join again"), "{both}");
        assert!(!said(MAY.from - 1).contains("join again"));
        let ended = said(MAY.until + 1);
        assert!(ended.ends_with("if it is right, join again"), "{ended}");
    }

    #[test]
    fn the_cause_is_found_through_what_wraps_it() {
        let found = OutOfDate { now: 1, certificate: MAY };
        let inner = rustls::Error::Other(OtherError(Arc::new(found)));
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, inner);
        assert_eq!(OutOfDate::in_causes(&error), Some(found));
        let outer = anyhow::Error::new(error).context("connecting");
        assert_eq!(OutOfDate::in_causes(&*outer), Some(found));
        assert_eq!(OutOfDate::in_causes(&std::io::Error::other("else")), None);
    }
}
