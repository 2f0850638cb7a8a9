import Model
import Signature

/// What to do about a webhook whose signature was refused.
enum RejectionAdvice {
    static func text(_ rejected: RejectedDelivery, _ settings: Settings) -> String {
        let versions = rejected.versions.isEmpty ? "without a version" : rejected.versions.joined(separator: " and ")
        let what = "\(rejected.method) \(rejected.url), signed \(versions), \(rejected.bodyBytes) bytes (SHA-256 \(rejected.bodyHash.prefix(12))…): "
        return what + advice(rejected, settings)
    }

    private static func advice(_ rejected: RejectedDelivery, _ settings: Settings) -> String {
        guard let matches = rejected.matches else { return "\(rejected.reason); too long to be looked into: wait for a shorter one" }
        // In the order in which the receiver looks: a v3 signature that is there decides.
        guard let match = matches.first(where: { $0.url == rejected.url }) ?? matches.first else { return unmatched(rejected) }
        let secret = settings.clientSecrets.count > 1 ? " with secret \(match.secret) of HUBSPOT_CLIENT_SECRET" : ""
        if match.url == nil, rejected.versions.contains("v3"), settings.signatureVersions.contains(.v3) {
            return "v1 matches\(secret), so the secret is right, but v3 over none of the likely URLs: set HUBSPOT_WEBHOOK_URL to the target URL in HubSpot"
        }
        if let url = match.url, url != rejected.url {
            if settings.webhookURL == url { return "\(match.version) matches with \(url)\(secret), as HUBSPOT_WEBHOOK_URL now has it: restart the service if it still refuses" }
            return "\(match.version) would match with \(url)\(secret): set HUBSPOT_WEBHOOK_URL to it and restart the service"
        }
        switch rejected.reason {
        case SignatureVerdict.Reason.expired.rawValue:
            let age = Duration.milliseconds(rejected.ageMs ?? 0)
            return age < .zero
                ? "the signature is right\(secret) but from \((.zero - age).short) in the future: set this machine's clock"
                : "the signature is right\(secret) but \(age.short) old: set this machine's clock, or see what held the request up"
        case SignatureVerdict.Reason.versionNotAllowed.rawValue:
            return "\(match.version) matches\(secret) but is not among HUBSPOT_SIGNATURE_VERSIONS: add it there if you mean to accept it"
        default: return "\(rejected.reason), though \(match.version) matches\(secret): a header beside it is damaged on its way"
        }
    }

    private static func unmatched(_ rejected: RejectedDelivery) -> String {
        switch rejected.reason {
        case SignatureVerdict.Reason.missing.rawValue: "the header \(SignatureHeader.timestamp) is missing: the proxy must pass all headers on"
        case SignatureVerdict.Reason.malformed.rawValue: "not signed in a form of HubSpot's: it is not HubSpot's, or a proxy changes headers"
        default:
            "no version, URL form or secret matches: HUBSPOT_CLIENT_SECRET is another app's, the body is changed on its way, or it is not HubSpot's"
        }
    }
}
