/// The account that the token belongs to.
public struct Account: Sendable, Codable, Equatable {
    public let portalId: Int64
    /// `STANDARD`, `DEVELOPER_TEST`, `SANDBOX`, `APP_DEVELOPER`.
    public let accountType: String?
    /// The day's quota begins anew at midnight here, for example `US/Eastern`.
    public let timeZone: String?
    public let companyCurrency: String?
    public let utcOffsetMilliseconds: Int64?
    /// For links to records, for example `app-eu1.hubspot.com`.
    public let uiDomain: String?
    public let dataHostingLocation: String?
}
