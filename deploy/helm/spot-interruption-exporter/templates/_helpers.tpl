{{/* The address wins over the port, as in the exporter. */}}
{{- define "spot-interruption-exporter.port" -}}
{{- with .Values.config.prometheus -}}
{{ include "exporter.portOf" (.address | default (printf ":%d" (int .port))) }}
{{- end -}}
{{- end -}}

{{- define "spot-interruption-exporter.path" -}}
{{ .Values.config.prometheus.path }}
{{- end -}}

{{- define "spot-interruption-exporter.stateDirectory" -}}
/var/lib/{{ .Chart.Name }}
{{- end -}}

{{/* The configuration file: the user's keys, and those that follow from other values. */}}
{{- define "spot-interruption-exporter.config" -}}
{{- $_ := required "config.project_name is required: the id of the Google Cloud project whose instances are watched" .Values.config.project_name -}}
{{- $config := deepCopy .Values.config -}}
{{- if include "exporter.web.enabled" . -}}
{{- $_ := set $config "web" (dict "config_file" (include "exporter.web.path" .) "open_probes" .Values.webConfig.openProbes) -}}
{{- end -}}
{{- if .Values.persistence.enabled -}}
{{- $_ := set $config "state" (dict "path" (include "spot-interruption-exporter.stateDirectory" .)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "spot-interruption-exporter.claimName" -}}
{{ .Values.persistence.existingClaim | default (include "exporter.fullname" .) }}
{{- end -}}
