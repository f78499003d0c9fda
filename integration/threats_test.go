package integration

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// lastThreat is the highest number in the list of what must not get through.
const lastThreat = 90

// threatTests lists for each attack which test fails when the defence against it
// is taken out. Packages have more tests of the same numbers; here is at least
// the one that comes nearest to a user's server.
var threatTests = map[int][]string{
	1:  {"TestThreat01_UnsignedTokensAreRefused"},
	2:  {"TestThreat02_APublicKeyIsNoSecret"},
	3:  {"TestThreat03_AKeyVerifiesItsOwnAlgorithm"},
	4:  {"TestThreat04_KeysNamedByTheTokenAreIgnored"},
	5:  {"TestThreat05_KidIsOnlyAName", "TestThreat05_UnknownKidsDoNotFloodTheIssuer"},
	6:  {"TestThreat06_AnIssuersKeyVouchesForThatIssuerOnly"},
	7:  {"TestThreat07_ExtensionsAreRefused"},
	8:  {"TestThreat08_OtherSerializationsAreRefused", "TestThreat08_GiantTokensAreRefused"},
	9:  {"TestThreat09_OneSpellingOfBase64"},
	10: {"TestThreat10_DuplicateAndMiscasedMembers"},
	11: {"TestThreat11_TimesAreNumbersInRange"},
	12: {"TestThreat12_AudienceAndIssuerAreExact"},
	13: {"TestThreat13_ClaimsAreOneStrictObject"},
	14: {"TestThreat14_TypIsChecked"},
	15: {"TestThreat15_SignaturesHaveOneForm"},
	16: {"TestThreat16_BadKeysOfASetAreNotUsed"},
	17: {"TestThreat17_WeakSecretsAreRefusedAtLoad"},
	18: {"TestThreat18_CachedTokensEnd", "TestThreat18_CachedTokensEndUnderLoad", "TestThreat18_CachedTokensEndWhenRevoked"},
	19: {"TestThreat19_EachSiteJudgesACachedToken"},
	20: {"TestThreat20_WrongTypesOfClaims"},
	21: {"TestThreat21_ForgedHeadersDoNotArrive", "TestThreat21_ForgedSpellingsThatCaddyLetsThrough", "TestThreat21_ForgedTrailersDoNotArrive", "TestThreat21_ConnectionDoesNotDropTheIdentity", "TestThreat21_ABodyThatIsCutOff", "TestThreat21_ErrorRoutesPastAHandler", "TestThreat21_TrailersUnderStress"},
	22: {"TestThreat22_TwoCredentialsAreRefused", "TestThreat22_TwoAPIKeysAreRefused"},
	23: {"TestThreat23_ADecoyDoesNotHideABadToken"},
	24: {"TestThreat24_WhatAHeaderCantCarryIsRefused"},
	25: {"TestThreat25_ClaimsAreNotExpanded", "TestThreat25_MetaIsNotExpanded", "TestThreat25_ForwardedClaimsAreNotExpanded"},
	26: {"TestThreat26_OnlyTheBearerScheme", "TestThreat26_NearlyTheBearerScheme"},
	27: {"TestThreat27_PathsAroundAMatcher"},
	28: {"TestThreat28_OnlyPreflightsNeedNoCredential"},
	29: {"TestThreat29_EveryProtocolIsChecked", "TestThreat29_BodiesArriveUntouched", "TestThreat29_WebSocketUpgrades"},
	30: {"TestThreat30_OneDigestAndOneLookUp"},
	31: {"TestThreat31_AHashIsNoKey"},
	32: {"TestThreat32_KeysThatAreNoLongerGood", "TestThreat32_StoredKeysThatAreNoLongerGood"},
	33: {"TestThreat33_ScopesAreTheKeysOwn"},
	34: {"TestThreat34_BrokenKeyFilesChangeNothing"},
	35: {"TestThreat35_BadAnswersChangeNothing", "TestThreat35_OddAnswersAreUsed", "TestThreat35_TheBearerTokenStaysAtHome"},
	36: {"TestThreat36_ReloadsUnderLoad"},
	37: {"TestThreat37_NothingIsLostByKills", "TestThreat37_TwoNodesShareOneRedis", "TestThreat37_AFolderThatCantBeRead", "TestThreat37_RedisGoesAwayDuringTheStart", "TestThreat37_ADiskThatIsFullOrReadOnly", "TestThreat37_ReloadsOfTheSharedState", "TestThreat37_ChangesDuringReloads", "TestThreat37_ARedisThatHangs", "TestThreat37_AReloadAndAStopAroundAnOutage", "TestThreat37_AReloadToAnotherRedis", "TestThreat37_ConfigsThatNeverRun", "TestThreat37_NodesThatMakeOneSet"},
	38: {"TestThreat38_APIKeysAreNotWritten", "TestThreat38_ClaimsAreNotWritten", "TestThreat38_SharedStateHasNoSecrets", "TestThreat38_PrivateKeysAreNowhereElse"},
	39: {"TestThreat39_NoLabelsFromClients", "TestThreat39_NoSeriesFromRequests"},
	40: {"TestThreat40_AdminDuringReloads"},
	42: {"TestThreat42_TheAdminEndpointIsStrict", "TestThreat42_TheTokenEndpointIsStrict", "TestThreat42_TheTokenEndpointIsFuzzed"},
	43: {"TestThreat43_CookiesOfOtherOrigins", "TestThreat43_APIKeysInCookiesOfOtherOrigins"},
	44: {"TestThreat44_BoundTokensAreNoBearerTokens"},
	45: {"TestThreat45_LeavingTheTokenOutSkipsNoRule", "TestThreat45_RulesAndOptionalDoNotLoad"},
	46: {"TestThreat46_BothHandlersHold"},
	47: {"TestThreat47_TheSitesAudienceDecides"},
	48: {"TestThreat48_ErrorRoutesGetNoCredential", "TestThreat48_FastCGIGetsNoCredential", "TestThreat48_ErrorRoutesGetNoAPIKey", "TestThreat48_ErrorRoutesOfRulesGetNoCredential", "TestThreat48_ARenamedParameterIsGoneFromTheOriginal", "TestThreat48_ErrorsBeforeJWTBringNoCredential"},
	49: {"TestThreat49_CachesAndUsers", "TestThreat49_CachesAndRequestsAtTheSameTime"},
	50: {"TestThreat50_KeysCantBeToldApart", "TestThreat50_RulesTellKeysNotApart", "TestThreat50_StoredKeysCantBeToldApart"},
	51: {"TestThreat51_GRPCRefusalsAreNoSuccess"},
	52: {"TestThreat52_ARefusalIsFinal", "TestThreat52_SubroutesWithErrors", "TestThreat52_Generated"},
	53: {"TestThreat53_CatchersInFront"},
	54: {"TestThreat54_ChallengesAreWellFormed"},
	55: {"TestThreat55_ATwinOfARevokedTokenIsRevoked"},
	56: {"TestThreat56_ANodeThatSleptBringsNothingBack"},
	57: {"TestThreat57_NothingIsLooserWhileTheStorageIsAway"},
	58: {"TestThreat58_AnEmptiedStorageIsNoLicence", "TestThreat58_AMissingMarkerIsNoEmptySet"},
	59: {"TestThreat59_WhatANodeDoesNotKnowSurvivesIt"},
	60: {"TestThreat60_OtherThingsInTheFolder", "TestThreat60_OtherClustersAndStores", "TestThreat60_UnsignedObjectsUnderAKey"},
	61: {"TestThreat61_ANodeLooksAtOthersClocks"},
	62: {"TestThreat62_RulesMatchWhatTheySay"},
	63: {"TestThreat63_RevokedKeysAreRefused", "TestThreat63_TokensEndWithTheirKey", "TestThreat63_TokensOfTheSameSecond"},
	64: {"TestThreat64_OfflineCommandsFindTheServersState", "TestThreat64_NoSetIsMadeOffline"},
	65: {"TestThreat65_ChangesAreRecorded", "TestThreat65_NarrowRolesOfTheAdminEndpoint"},
	66: {"TestThreat66_WithoutStateTheStorageDoesNotMatter", "TestThreat66_ReadOnlyStorage"},
	67: {"TestThreat67_ClientsAreNotMixedUp"},
	68: {"TestThreat68_NoOtherResourceAndNoMoreScopes", "TestThreat68_TheResourceOfASite"},
	69: {"TestThreat69_MetaSetsNoClaimThatDecides"},
	70: {"TestThreat70_AssertionsAreForThisServiceAndOnce"},
	71: {"TestThreat71_OnlyTheJobThatIsPinned"},
	72: {"TestThreat72_FailuresKeepNoClientOut"},
	73: {"TestThreat73_RevokingIsBounded"},
	74: {"TestThreat74_IntrospectionTellsNothingOfOthers"},
	75: {"TestThreat75_ForwardedTokensAreForOneUpstream"},
	76: {"TestThreat76_ForwardedTokensAreOfTheirCredential"},
	77: {"TestThreat77_RotationUnderLoad", "TestThreat77_AStolenStorageSignsNoMore", "TestThreat77_TwoFirstNodesAtOnce", "TestThreat77_TheStorageIsAway", "TestThreat77_APrivateKeyInAnothersPlace"},
	83: {"TestThreat83_NothingFollowsTheClientsHost"},
	78: {"TestThreat78_MembersThatLookAlike"},
	79: {"TestThreat79_OtherWrappings"},
	80: {"TestThreat80_NamesAndHeaders"},
	81: {"TestThreat81_EachKindByItsRule"},
	82: {"TestThreat82_BodiesHaveLimits", "TestThreat82_OneHolderOfManyBodies"},
	88: {"TestThreat88_AnswersThatSayTooMuch", "TestThreat88_AFloodOfInventedTokens"},
	89: {"TestThreat89_OnlyTenantsThatAreListed", "TestThreat89_AKeyIsOfWhomItNames", "TestThreat89_GuestsAndApplicationsByRule", "TestThreat89_NothingIsFetchedForAToken"},
	90: {"TestThreat90_HostileTokensAreShownEscaped", "TestThreat90_WhatIsNoTokenGetsOneSentence", "TestThreat90_TokensLeadNowhere", "TestThreat90_NothingIsLeftBehind", "TestThreat90_KeyFilesAreNotOverwritten"},
}

// threatsToCome have no test yet: what they attack is not built.
var threatsToCome = []int{
	41,
	84, 85, 86, 87,
}

func TestEveryThreatHasATest(t *testing.T) {
	t.Parallel()
	found := threatFunctions(t)
	for number := 1; number <= lastThreat; number++ {
		names, covered := threatTests[number]
		if covered == slices.Contains(threatsToCome, number) {
			t.Errorf("threat %d must be either in the table of tests or in the list of those to come", number)
		}
		if !covered {
			continue
		}
		prefix := fmt.Sprintf("TestThreat%02d_", number)
		if len(names) == 0 {
			t.Errorf("threat %d names no test", number)
		}
		for _, name := range names {
			if !strings.HasPrefix(name, prefix) {
				t.Errorf("threat %d names %s; its tests begin with %s", number, name, prefix)
			}
			if !slices.Contains(found[number], name) {
				t.Errorf("threat %d names %s, which does not exist", number, name)
			}
		}
	}
	for number := range found {
		if number < 1 || number > lastThreat {
			t.Errorf("%s has a number that no threat has", strings.Join(found[number], ", "))
		}
	}
}

var threatName = regexp.MustCompile(`^TestThreat([0-9]+)_`)

// threatFunctions are the threats' test functions in all of the repository, by
// number. They are parsed, not built: the plugin's are in another module.
func threatFunctions(t *testing.T) map[int][]string {
	t.Helper()
	found := map[int][]string{}
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(path string, item fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if item.IsDir() {
			if name := item.Name(); name == "node_modules" || name == "testdata" || len(name) > 2 && name[0] == '.' {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv != nil {
				continue
			}
			if match := threatName.FindStringSubmatch(function.Name.Name); match != nil {
				var number int
				if _, err := fmt.Sscanf(match[1], "%d", &number); err != nil {
					return err
				}
				found[number] = append(found[number], function.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
