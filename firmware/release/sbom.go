package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"time"
)

// The parts of SPDX 2.3 (spdx.github.io/spdx-spec/v2.3) that are used, in its JSON
// form.
type (
	spdxDocument struct {
		SPDXVersion   string             `json:"spdxVersion"`
		DataLicense   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID               string          `json:"SPDXID"`
		Name             string          `json:"name"`
		Version          string          `json:"versionInfo"`
		Purpose          string          `json:"primaryPackagePurpose"`
		DownloadLocation string          `json:"downloadLocation"`
		FilesAnalyzed    bool            `json:"filesAnalyzed"`
		Checksums        []spdxChecksum  `json:"checksums,omitempty"`
		Concluded        string          `json:"licenseConcluded"`
		Declared         string          `json:"licenseDeclared"`
		Copyright        string          `json:"copyrightText"`
		Comment          string          `json:"comment,omitempty"`
		References       []spdxReference `json:"externalRefs,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxReference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		From string `json:"spdxElementId"`
		Kind string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

const noAssertion = "NOASSERTION"

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

// SBOM is the software bill of materials of a binary, in SPDX 2.3's JSON: what the
// binary itself says that it was built from, with the licences of licences. A
// module of the binary that licences lacks is an error: the two are of different
// builds.
func (b *Binary) SBOM(licences []Licence) ([]byte, error) {
	data, err := os.ReadFile(b.Path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	known := make(map[string]*Licence)
	for i := range licences {
		known[licences[i].Module+" "+licences[i].Version] = &licences[i]
	}
	document := spdxDocument{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT",
		Name:      "milepost-" + b.Version + "-" + b.Target.Name,
		Namespace: "https://spdx.org/spdxdocs/milepost-" + b.Target.Name + "-" + digest,
		Creation:  spdxCreation{b.Time.UTC().Format(time.RFC3339), []string{"Tool: milepost-firmware"}},
	}
	const root = "SPDXRef-Package-milepost"
	document.Packages = append(document.Packages, spdxPackage{
		ID: root, Name: "milepost", Version: b.Version, Purpose: "APPLICATION", DownloadLocation: noAssertion,
		Checksums: []spdxChecksum{{"SHA256", digest}},
		Concluded: "Apache-2.0", Declared: "Apache-2.0", Copyright: noAssertion,
		Comment: b.Target.Name + ", commit " + b.Revision,
	})
	document.Relationships = append(document.Relationships, spdxRelationship{document.ID, "DESCRIBES", root})
	link := func(name, version, licence, comment, locator string) {
		id := "SPDXRef-Package-" + notInID.ReplaceAllString(name, "-")
		document.Packages = append(document.Packages, spdxPackage{
			ID: id, Name: name, Version: version, Purpose: "LIBRARY", DownloadLocation: noAssertion,
			Concluded: licence, Declared: noAssertion, Copyright: noAssertion, Comment: comment,
			References: []spdxReference{{"PACKAGE-MANAGER", "purl", locator}},
		})
		document.Relationships = append(document.Relationships, spdxRelationship{root, "STATIC_LINK", id})
	}
	for _, m := range b.Info.Deps {
		if m.Replace != nil {
			return nil, fmt.Errorf("%s: %s is replaced by %s: a release is built from what go.mod names", b.Path, m.Path, m.Replace.Path)
		}
		l := known[m.Path+" "+m.Version]
		if l == nil {
			return nil, fmt.Errorf("%s: it links %s %s, of which there is no licence here: it was built from another state of the project", b.Path, m.Path, m.Version)
		}
		link(m.Path, m.Version, l.Expression(), "go.sum: "+m.Sum, "pkg:golang/"+m.Path+"@"+m.Version)
	}
	standard := known["Go "]
	if standard == nil {
		return nil, fmt.Errorf("%s: there is no licence of Go's standard library", b.Path)
	}
	link("Go standard library", b.Info.GoVersion, standard.Expression(), "", "pkg:golang/stdlib@"+b.Info.GoVersion)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
