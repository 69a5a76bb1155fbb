{{/*
`helm upgrade --reuse-values` replaces this chart's defaults with the values of the release. If these are from another
chart, such as Spacelift's chart of the same name, most keys are missing. Every template includes this first: if keys
are missing that all releases of this chart had, the defaults are added.
*/}}
{{- define "exporter.prepare" -}}
{{- if not (or (hasKey .Values "webConfig") (hasKey .Values "testFramework")) -}}
{{- include "exporter.fill" (dict "values" .Values "defaults" (.Files.Get "files/values.yaml" | fromYaml)) -}}
{{- end -}}
{{- end -}}

{{/* Adds missing keys to a map and to its nested maps. An empty map among the defaults is not merged, because its keys are the user's. */}}
{{- define "exporter.fill" -}}
{{- range $key, $default := .defaults -}}
{{- $value := get $.values $key -}}
{{- if or (not (hasKey $.values $key)) (kindIs "invalid" $value) -}}
{{- $_ := set $.values $key $default -}}
{{- else if and (kindIs "map" $default) (kindIs "map" $value) -}}
{{- include "exporter.fill" (dict "values" $value "defaults" $default) -}}
{{- end -}}
{{- end -}}
{{- end -}}
