internal import Curl
internal import FoundationEssentials
public import Rules

extension HubSpotClient {
    /// The account that the token belongs to: the cheapest way to see whether the token works. From then on the limiter knows when the
    /// account's day ends.
    public func account(as callClass: CallClass) async throws(HubSpotError) -> Account {
        let account = try await perform(Call(endpoint: "account", path: settings.version.account), as: callClass) { response in
            try JSONDecoder().decode(Account.self, from: Data(response.body))
        }
        if let offset = account.utcOffsetMilliseconds { await limiter.setUTCOffset(milliseconds: offset) }
        return account
    }
}
