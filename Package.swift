// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"), .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"), .treatAllWarnings(as: .error),
]
/// For targets through which tests send thousands of records: also debug builds of them are optimised.
let quick: [SwiftSetting] = [.unsafeFlags(["-O"], .when(configuration: .debug))]
/// For targets that need no pointer: one would have to be written `unsafe` to compile.
let pointerFree = settings + [.strictMemorySafety()]

let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioLocks = Target.Dependency.product(name: "NIOConcurrencyHelpers", package: "swift-nio")
let nioHTTP = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

/// The order of the targets is the order of the layers: each depends only on those above it.
let package = Package(
    name: "hubspot-sync",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "hubspot-sync", targets: ["hubspot-sync"])],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration.git", from: "1.4.0", traits: []),  // JSON would bring Foundation
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CMongo", pkgConfig: "libmongoc-1.0", providers: [.apt(["libmongoc-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CSIMD"),
        .systemLibrary(name: "CMalloc"),
        .systemLibrary(name: "CZlib"),  // its headers come with those of libmongoc
        .target(name: "Model", swiftSettings: pointerFree),
        .target(name: "Bytes", dependencies: ["Model", "CSIMD"], swiftSettings: settings + quick),
        .target(name: "Rules", dependencies: ["Model"], swiftSettings: pointerFree),
        .target(name: "Signature", dependencies: ["Bytes", "COpenSSL"], swiftSettings: settings),
        .target(name: "Mongo", dependencies: ["Bytes", "CMongo", nioPosix, logging, metrics], swiftSettings: settings),
        .target(
            name: "Store", dependencies: ["Model", "Bytes", "Rules", "Mongo", logging, lifecycle, nioLocks],
            swiftSettings: pointerFree + quick),
        .target(name: "Curl", dependencies: ["CCurl", nioLocks], swiftSettings: settings),
        .target(
            name: "HubSpot", dependencies: ["Model", "Bytes", "Rules", "Curl", logging, metrics],
            swiftSettings: pointerFree + quick),
        .target(
            name: "Sync", dependencies: ["Model", "Rules", "Store", "HubSpot", logging, metrics, lifecycle],
            swiftSettings: pointerFree),
        .target(
            name: "Web",
            dependencies: [
                "Model", "Bytes", "Rules", "Signature", "Mongo", "Store", "Sync", "HubSpot", hummingbird, hummingbirdCore, httpTypes, lifecycle, nioCore, nioHTTP, nioHTTPTypes,
                logging, metrics, nioLocks,
            ],
            resources: [.embedInCode("Admin/Files")],  // part of the binary: nothing is installed beside it
            swiftSettings: pointerFree),
        .target(
            name: "Simulator",
            dependencies: ["Model", "Bytes", "Signature", logging, lifecycle, nioCore, nioLocks, nioPosix, nioHTTP, "CZlib"],
            swiftSettings: settings + quick),
        .executableTarget(
            name: "hubspot-sync",
            dependencies: [
                "Model", "Bytes", "Rules", "Signature", "Mongo", "Store", "Curl", "HubSpot", "Sync", "Web", "Simulator", "CMalloc",
                logging, metrics, lifecycle, signals,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
            ],
            swiftSettings: settings,
            // Nobody loads symbols from it: 2 MB of names.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--no-export-dynamic"], .when(platforms: [.linux], configuration: .release))]),
        // Programs in C that do only what cannot be avoided, and the benchmarks of the service beside them.
        .target(name: "CBaseline", dependencies: ["CMongo", "COpenSSL", "CCurl"]),
        .executableTarget(
            name: "Benchmarks",
            dependencies: [
                "Model", "Bytes", "Signature", "Mongo", "Store", "HubSpot", "Web", "CBaseline",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),
        .target(
            name: "TestSupport",
            dependencies: ["Model", "Bytes", "Rules", "Mongo", "Store", "Curl", "HubSpot", "Sync", "Simulator", logging, lifecycle],
            path: "Tests/TestSupport", swiftSettings: settings + quick),  // it compares whole mirrors
        .executableTarget(
            name: "soak", dependencies: ["TestSupport", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Tests/Soak", swiftSettings: settings),
        .testTarget(name: "ModelTests", dependencies: ["Model", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "BytesTests", dependencies: ["Bytes", "CMongo", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "RulesTests", dependencies: ["Rules", "Model", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "SignatureTests", dependencies: ["Signature", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "MongoTests", dependencies: ["Mongo", "Bytes", "TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "StoreTests", dependencies: ["Store", "Model", "Bytes", "Rules", "Mongo", "TestSupport", logging], swiftSettings: settings),
        .testTarget(name: "CurlTests", dependencies: ["Curl", "TestSupport", nioCore, nioPosix], swiftSettings: settings),
        .testTarget(
            name: "HubSpotTests", dependencies: ["HubSpot", "Model", "Bytes", "Rules", "Curl", "Simulator", "TestSupport"],
            swiftSettings: settings),
        .testTarget(
            name: "SyncTests",
            dependencies: [
                "Sync", "Store", "HubSpot", "Simulator", "TestSupport", "Model", "Bytes", "Rules", "Mongo", "Curl", "Web", logging, lifecycle,
            ], swiftSettings: settings),
        .testTarget(
            name: "WebTests", dependencies: [
                "Web", "Sync", "Store", "HubSpot", "Simulator", "Curl", "TestSupport", "Model", "Bytes", "Rules", "Mongo", "Signature",
                httpTypes, metrics, lifecycle, logging,
            ],
            swiftSettings: settings),
        .testTarget(
            name: "SimulatorTests", dependencies: ["Simulator", "Model", "Signature", "TestSupport", logging, nioLocks],
            swiftSettings: settings),
        .testTarget(
            name: "SimulationTests",
            dependencies: [
                "Sync", "Store", "HubSpot", "Simulator", "Web", "Curl", "Mongo", "Rules", "Bytes", "Model", "TestSupport", logging,
            ], swiftSettings: settings),
        .testTarget(
            name: "EndToEndTests", dependencies: ["Model", "Bytes", "Signature", "Mongo", "Curl", "Simulator", "TestSupport", logging],
            swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
