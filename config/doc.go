// Package config reads everything that a person writes for Tripline: tripline.yaml, campaign files and campaign test files.
//
// Reading is strict and never stops at the first problem. Unknown, repeated and misplaced keys, wrong types, values out of
// range and what campaign.Compile finds wrong come back together as Problems, each with file, line, column, the line itself
// and, where a name was probably meant, that name.
//
//	Load             tripline.yaml -> *Config
//	LoadCampaigns    campaign files -> []campaign.Definition and the Source that knows where each part of them stands
//	LoadTests        one campaign test file -> *Suite
//	LoadAll          tripline.yaml, the campaign files it names, and campaign.Compile over them: what a service starts with
//
// The way of a document: split the file at its document markers, let goccy/go-yaml parse it, turn its syntax tree into our
// own small tree (tree.go: aliases, merge keys, YAML 1.2 core schema), decode that into structs by reflection (decode.go),
// note for every path where it stands (source.go), and judge the values (check.go, endpoint.go).
package config
