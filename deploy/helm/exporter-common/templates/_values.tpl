{{/*
`helm upgrade --reuse-values` puts the values of the release in place of this chart's defaults. Where they come from another
chart, such as Spacelift's own of the same name, most keys are missing then. Every template includes this first: without keys that
all releases of this chart have had, the defaults are filled in.
*/}}
{{- define "exporter.prepare" -}}
{{- if not (or (hasKey .Values "webConfig") (hasKey .Values "testFramework")) -}}
{{- include "exporter.fill" (dict "values" .Values "defaults" (.Files.Get "files/values.yaml" | fromYaml)) -}}
{{- end -}}
{{- end -}}

{{/* Sets what is missing in a map, and in the maps in it. An empty map among the defaults belongs to the user. */}}
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
