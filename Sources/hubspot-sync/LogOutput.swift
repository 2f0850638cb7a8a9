import Bytes
import Glibc
import Logging
import Model

/// Where log lines go: standard error, as text for people or as one JSON object a line for machines.
enum LogOutput {
    static func install(_ level: Logger.Level, _ format: Settings.LogFormat) {
        LoggingSystem.bootstrap { label in
            switch format {
            case .text:
                var handler = StreamLogHandler.standardError(label: label)
                handler.logLevel = level
                return handler
            case .json: return JSONLogHandler(label: label, logLevel: level)
            }
        }
    }
}

/// One JSON object a line: `time`, `level`, `logger`, `message`, then the metadata.
struct JSONLogHandler: LogHandler {
    let label: String
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var json = JSONWriter(capacity: 256)
        json.object { json in
            json.key("time")
            json.string(Timestamp.now.iso8601)
            json.key("level")
            json.string(event.level.rawValue)
            json.key("logger")
            json.string(label)
            json.key("message")
            json.string(event.message.description)
            for (key, value) in metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }) {
                json.key(key)
                json.string(value.description)
            }
        }
        FileHandleOutput.standardError.write(String(decoding: json.finish(), as: UTF8.self) + "\n")
    }
}
